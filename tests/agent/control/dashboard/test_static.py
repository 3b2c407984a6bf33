from __future__ import annotations

from pathlib import Path

import pytest

from byoi_agent.control.dashboard import static

OURS = Path(static.__file__).parent / "static"
CONSOLES = Path(__file__).parents[4] / "console" / "byoi_console" / "pages" / "static"
SHARED = {
    "base.css": "console.css",
    "base.js": "console.js",
    "live.js": "live.js",
    "icon.svg": "icon.svg",
    "htmx.min.js": "htmx.min.js",
    "htmx.LICENSE.txt": "htmx.LICENSE.txt",
}


@pytest.mark.parametrize("name", SHARED)
def test_node_and_console_look_alike_since_they_share_what_makes_their_look(name):
    """Neither package may import the other: each has a copy, and this keeps them the same."""
    assert (OURS / name).read_bytes() == (CONSOLES / SHARED[name]).read_bytes()


async def test_a_file_named_by_its_content_is_kept_for_ever(stranger):
    place = stranger.url + static.static_url("dashboard.css")
    async with stranger.http.get(place) as response:
        assert (response.status, response.content_type) == (200, "text/css")
        assert "immutable" in response.headers["Cache-Control"]
        tag = response.headers["ETag"]
    again = stranger.url + "/static/dashboard.css"
    async with stranger.http.get(again, headers={"If-None-Match": tag}) as response:
        assert response.status == 304
        assert "immutable" not in response.headers["Cache-Control"]


@pytest.mark.parametrize("name", ["nothing.css", "..%2fapp.py", "%2e%2e/app.py", "."])
async def test_nothing_else_is_served(stranger, name):
    assert (await stranger.get(f"/static/{name}"))[0] in {401, 404}
