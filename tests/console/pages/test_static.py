from __future__ import annotations

import pytest

from byoi_console.pages.static import static_url


async def test_a_file_named_by_its_content_is_kept_for_ever(stranger):
    answer = await stranger.get(static_url("console.css"))
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/css")
    assert "immutable" in answer.headers["cache-control"]
    same = await stranger.get("/static/console.css", if_none_match=answer.headers["etag"])
    assert (same.status, same.body) == (304, b"")
    assert "immutable" not in same.headers["cache-control"]


@pytest.mark.parametrize(
    "name", ["nothing.css", "..%2fguard.py", "../guard.py", "%2e%2e/app.py", ".", "console.css/"]
)
async def test_nothing_else_is_served(stranger, name):
    assert (await stranger.get(f"/static/{name}")).status in {404, 307}


async def test_the_foreign_script_comes_with_its_licence(stranger):
    text = (await stranger.get("/static/htmx.LICENSE.txt")).text
    assert "Zero-Clause BSD" in text
    version = text.split("htmx ")[1].split(" ")[0]
    assert f'version:"{version}"' in (await stranger.get("/static/htmx.min.js")).text
