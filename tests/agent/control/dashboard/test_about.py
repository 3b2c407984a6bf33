from __future__ import annotations

from byoi_wire.version import PROTOCOL_VERSION


async def test_it_tells_what_runs_here_and_where_newer_versions_come_from(whole):
    status, text = await whole.get("/about")
    assert status == 200
    assert "byoi 0.1.0" in text
    assert PROTOCOL_VERSION in text
    assert "no console can make this node take one" in text
    assert 'action="/sign-out"' in text
