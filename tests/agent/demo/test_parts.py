from __future__ import annotations

import json

import pytest

from byoi_agent.demo import parts
from byoi_agent.demo.child import ChildFailed
from byoi_agent.demo.choices import Choices
from byoi_agent.demo.folder import DemoFolder, Secrets
from byoi_agent.identity.record import EnrolmentRecord, write_record

SECRETS = Secrets(admin_email="e", admin_password="p", admin_api_key="sk-admin", api_key="sk-user")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "program", lambda name: f"/bin/{name}")
    return DemoFolder(tmp_path)


@pytest.fixture
def console(monkeypatch):
    """The console's API and its program, both only remembering what they were asked."""
    asked = []

    class Api:
        def __init__(self, url, key):
            self.key = key

        async def call(self, method, path, body=None):
            asked.append((self.key, method, path, body))
            return {"key": "sk-user", "token": "byoi-join-x"}

        async def close(self):
            asked.append("closed")

    async def finish(name, argv, extra):
        asked.append((name, argv, extra))
        return json.dumps({"email": "e", "password": "p", "api_key": "sk-admin"})

    monkeypatch.setattr(parts, "ConsoleApi", Api)
    monkeypatch.setattr(parts, "finish", finish)
    return asked


def test_the_console_is_told_where_to_be_and_when_to_end(folder):
    child = parts.console_child(folder, 8700)
    assert child.command == (
        "/bin/byoi-console",
        "serve",
        "--port",
        "8700",
        "--data-dir",
        str(folder.console),
    )
    assert "--exit-with-stdin" in child._argv


def test_a_node_is_told_everything_by_flags_and_no_secret_is_among_them(folder):
    child = parts.node_child(folder, 2, "http://127.0.0.1:1", Choices(model="m"))
    words = " ".join(child._argv)
    for part in ("run", str(folder.node(2)), "--engine llamacpp", "--model m", "--exit-with-stdin"):
        assert part in words
    assert "sk-" not in words
    assert "token" not in words


async def test_the_first_start_makes_an_admin_and_a_key_and_keeps_them(folder, console):
    assert await parts.secrets_of(folder, "http://c") == SECRETS
    assert console[1] == (
        "sk-admin",
        "POST",
        "/api/keys",
        {"name": "demo", "scope": "inference"},
    )
    console.clear()
    assert await parts.secrets_of(folder, "http://c") == SECRETS
    assert console == []


async def test_a_start_that_was_stopped_before_it_kept_its_keys_is_no_dead_end(
    folder, console, monkeypatch
):
    remembering = parts.finish

    async def finish(name, argv, extra):
        if parts.ADMIN_EMAIL in argv:
            raise ChildFailed("admin@localhost has an account already")
        return await remembering(name, argv, extra)

    monkeypatch.setattr(parts, "finish", finish)
    assert await parts.secrets_of(folder, "http://c") == SECRETS
    assert folder.secrets() == SECRETS


async def test_a_join_token_is_made_for_as_many_nodes_as_need_one(folder, console):
    record = EnrolmentRecord(
        node_id="n",
        key_id="k",
        fingerprint="f",
        key_store="file",
        console_key="x",
        console_key_id="c",
        origin="o",
        console_url="u",
    )
    folder.node(1).mkdir(parents=True)
    write_record(folder.node(1) / "identity.json", record)
    assert parts.not_enrolled(folder, 3) == [2, 3]
    assert await parts.join_token("http://c", SECRETS, 2) == "byoi-join-x"
    assert console == [("sk-admin", "POST", "/api/join-tokens", {"uses": 2}), "closed"]


async def test_the_join_token_goes_by_the_environment(folder, console):
    await parts.enrol(folder, 1, "http://c", "byoi-join-x")
    ((_, argv, extra),) = console
    assert extra == {"BYOI_JOIN_TOKEN": "byoi-join-x"}
    assert "byoi-join-x" not in argv


async def test_a_nodes_place_is_read_from_what_it_writes():
    class Ready:
        async def until_ready(self):
            return {
                "node_id": "n",
                "pid": 1,
                "control_url": "u",
                "control_token": "t",
                "engine": {"kind": "llamacpp", "pid": 3, "url": "unix:///s"},
            }

    place = await parts.place_of(Ready())
    assert (place.node_id, place.engine.pid) == ("n", 3)
