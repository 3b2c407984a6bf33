"""`byoi keys seal` and `unseal` of a service that systemd runs, with systemd's own program."""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.installers.test_update import installed, serving

CREDENTIAL = "etc/credstore.encrypted/byoi.device-key"


@pytest.mark.slow
async def test_a_serving_nodes_key_is_sealed_and_comes_back(debian, deployment, tmp_path):
    installed.put_into(debian, tmp_path)
    debian.run("/opt/byoi/bin/byoi", "service", "install", "--system")
    await deployment.start_console()
    engine = await deployment.start_fake_engine("engine", "--rate", "20")
    debian.run("byoi", "config", "set", "engine", engine.ready["url"])
    token = (await deployment.admin("POST", "/api/join-tokens", {"uses": 1}))["token"]
    debian.run("byoi", "enroll", "--console", deployment.url, BYOI_JOIN_TOKEN=token)
    await serving(deployment, debian, installed.VERSION)
    keys = debian.root / "var/lib/byoi/keys"
    [file] = keys.glob("*.key")
    secret = file.read_text().splitlines()[1]

    said = json.loads(await asyncio.to_thread(debian.run, "byoi", "keys", "seal", "--json"))

    assert (said["key_store"], said["is_in_use"]) == ("credential", True)
    assert not list(keys.iterdir())
    assert secret not in (debian.root / CREDENTIAL).read_text()
    await serving(deployment, debian, installed.VERSION)
    assert "credential" in debian.run("byoi", "status", "--json")

    await asyncio.to_thread(debian.run, "byoi", "keys", "unseal")

    assert file.read_text().splitlines()[1] == secret
    assert file.stat().st_uid == keys.stat().st_uid != 0
    assert not (debian.root / CREDENTIAL).exists()
    await serving(deployment, debian, installed.VERSION)
    assert "credential" not in debian.run("byoi", "status", "--json")

    await asyncio.to_thread(debian.run, "systemctl", "stop", "byoi-agent")
    debian.run("byoi", "keys", "seal")
    debian.run("/opt/byoi/bin/byoi", "service", "uninstall", "--system", "--purge")
    assert not (debian.root / CREDENTIAL).exists()
