from __future__ import annotations

from byoi_wire.version import PROTOCOL_VERSION


async def test_it_tells_what_runs_here_and_that_nothing_updates_itself(whole):
    status, text = await whole.get("/about")
    assert status == 200
    assert "byoi 0.1.0" in text
    assert PROTOCOL_VERSION in text
    assert "updates nothing by itself" in text
    assert 'action="/sign-out"' in text
