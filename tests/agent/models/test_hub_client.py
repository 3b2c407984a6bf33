from __future__ import annotations

import pytest

from byoi_agent.models.hub_client import open_hub

REPO = "owner/Tiny-Model"
FILES = {f"{number}.json": b"{}" + b" " * 5000 for number in range(8)}


async def listed(hub):
    async with open_hub(hub.url, None) as asked:
        return {file.name: file for file in (await asked.listing(REPO, None, 60.0)).files}


async def test_a_mirror_that_compresses_tells_the_length_of_the_file_itself(hub):
    hub.tells, hub.compresses = "lengths", True
    hub.add(REPO, FILES)
    assert {file.size_bytes for file in (await listed(hub)).values()} == {5002}


async def test_a_tree_in_pages_is_read_to_its_end(hub):
    hub.tells = "tree"
    hub.add(REPO, FILES)
    assert {file.algorithm for file in (await listed(hub)).values()} == {"git-sha1"}
    assert [kind for kind, *_ in hub.asked].count("tree") == 2


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://127.0.0.1:{port}/tree",  # a token would go over whatever line it names
        "http://localhost:{port}/tree",
        "http://[::1/tree",
        "http://127.0.0.1:{port}/tr\tee",
        "/tree",
    ],
)
async def test_a_tree_that_goes_on_elsewhere_is_left_there(hub, elsewhere):
    hub.tells, hub.goes_on_at = "tree", elsewhere.format(port=hub.port)
    hub.add(REPO, FILES)
    found = await listed(hub)
    assert {file.size_bytes for file in found.values()} == {5002}
    assert [kind for kind, *_ in hub.asked].count("tree") == 1
    assert [kind for kind, *_ in hub.asked].count("head") == 2
