"""The lines of the provider's guide that seal a node's key, as an administrator types them."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from tests.installers.test_update import installed, serving

GUIDE = Path(__file__).parents[2] / "docs" / "provider-guide.md"


def lines_of_the_guide() -> str:
    (block,) = re.findall(r"```sh\n([^`]*systemd-creds encrypt[^`]*)```", GUIDE.read_text())
    return block


@pytest.mark.slow
async def test_a_key_in_a_file_is_sealed_and_the_node_goes_on_with_it(debian, deployment, tmp_path):
    installed.put_into(debian, tmp_path)
    debian.run("/opt/byoi/bin/byoi", "service", "install", "--system")
    await deployment.start_console()
    engine = await deployment.start_fake_engine("engine", "--rate", "20")
    debian.run("byoi", "config", "set", "engine", engine.ready["url"])
    token = (await deployment.admin("POST", "/api/join-tokens", {"uses": 1}))["token"]
    debian.run("byoi", "enroll", "--console", deployment.url, BYOI_JOIN_TOKEN=token)
    await serving(deployment, debian, installed.VERSION)
    keys = debian.root / "var/lib/byoi/keys"
    assert list(keys.glob("*.key"))

    await asyncio.to_thread(debian.run, "sh", "-ec", lines_of_the_guide())

    assert not list(keys.glob("*.key"))
    await serving(deployment, debian, installed.VERSION)
    assert "credential" in debian.run("byoi", "status", "--json")
