from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from byoi_agent.config.lock import StateLock
from byoi_agent.control.client import ControlClient
from byoi_agent.control.key_list import KeyList, KeyRow
from byoi_agent.control.schema import KeyChange, NodePlace
from byoi_agent.errors import AgentError
from byoi_agent.identity.console_http import ConsoleHttp, Reply
from byoi_agent.identity.file_store import FileStore
from byoi_agent.identity.keys import fingerprint_of
from byoi_agent.identity.record import PendingKey, RetiredKey, write_record
from byoi_wire.fingerprint import spoken

KEY = Ed25519PrivateKey.generate()
OLD = RetiredKey(key_id="k0", fingerprint="0" * 16, public_key="AAAA", retired_at_ms=1)


@pytest.fixture
def state():
    with tempfile.TemporaryDirectory(dir="/tmp") as short:  # a long path is broken in its cell
        folder = Path(short) / "data"
        folder.mkdir(mode=0o700)
        FileStore(folder / "keys").save(KEY)
        yield folder


@pytest.fixture
def enrolled(state, record_of):
    def enrolled(**changes):
        record = record_of(KEY, **{"key_since_ms": 1_700_000_000_123, **changes})
        write_record(state / "identity.json", record)

    enrolled()
    return enrolled


@pytest.fixture
def console(monkeypatch):
    """A console that takes every key."""
    asked = []

    async def post(_self, path, body):
        asked.append((path, body))
        return Reply(200, b'{"key_id": "k2"}')

    monkeypatch.setattr(ConsoleHttp, "post", post)
    return asked


def test_a_machine_that_is_not_enrolled_has_no_keys(byoi, tmp_path):
    for command in (("keys",), ("keys", "rotate")):
        code, _, err = byoi(*command, "--data-dir", tmp_path)
        assert code == 78
        assert "byoi enroll" in err


def test_the_present_key_and_its_place_are_shown(byoi, state, enrolled):
    code, out, _ = byoi("keys", "--data-dir", state)
    assert code == 0
    assert spoken(fingerprint_of(KEY)) in out
    assert f"in a file in {state}/keys" in out
    assert "2023-11-14T22:13:20Z" in out


def test_a_folder_with_brackets_in_its_name_is_shown_as_it_is(byoi, state, enrolled):
    odd = state.rename(state.parent / "[bold] [")
    code, out, _ = byoi("keys", "--data-dir", odd)
    assert code == 0
    assert "[bold] [" in out


def test_a_program_gets_every_key_with_its_state(byoi, state, enrolled):
    pending = PendingKey(fingerprint="1" * 16, public_key="AAAA", since_ms=0)
    enrolled(pending=pending, retired=(OLD,))
    told = json.loads(byoi("keys", "--json", "--data-dir", state)[1])
    assert told["node_id"] == "n1"
    states = [(key["key_id"], key["state"], key["place"] is None) for key in told["keys"]]
    assert states == [("k1", "present", False), (None, "unfinished", True), ("k0", "retired", True)]
    known = pending.model_copy(update={"key_id": "k2", "key_store": "keyring"})
    enrolled(pending=known)
    told = json.loads(byoi("keys", "--json", "--data-dir", state)[1])
    assert told["keys"][1]["state"] == "next"
    assert told["keys"][1]["place"] == "in the system's keyring"
    assert told["hint"] is None


def test_without_a_running_node_the_next_start_begins_with_the_new_key(
    byoi, state, enrolled, console
):
    code, out, _ = byoi("keys", "rotate", "--data-dir", state, "--key-store", "file")
    assert code == 0
    assert "takes over when the node connects next" in out
    [(path, body)] = console
    assert path == "/agent/v1/keys"
    assert body["key_id"] == "k1"
    told = json.loads(byoi("keys", "--json", "--data-dir", state)[1])
    assert [key["state"] for key in told["keys"]] == ["present", "next"]
    assert len(list((state / "keys").iterdir())) == 2


def test_a_running_node_changes_its_key_itself(byoi, state, enrolled, monkeypatch):
    place = NodePlace(node_id="n1", pid=1, control_url="http://127.0.0.1:1", control_token="t")
    (state / "control.json").write_text(place.model_dump_json())
    (state / "control.json").chmod(0o600)
    change = KeyChange(key_id="k2", fingerprint="1-2", key_store="keyring", is_in_use=True)
    monkeypatch.setattr(ControlClient, "rotate_key", lambda _: change)
    code, out, _ = byoi("keys", "rotate", "--data-dir", state)
    assert code == 0
    assert "new key 1-2 (in the keyring store)" in out
    assert "serves with it" in out
    assert json.loads(byoi("keys", "rotate", "--json", "--data-dir", state)[1]) == {
        "key_id": "k2",
        "fingerprint": "1-2",
        "key_store": "keyring",
        "is_in_use": True,
    }


def test_a_node_that_cannot_list_its_keys_has_changed_its_key_all_the_same(
    byoi, state, monkeypatch
):
    def older(_):
        raise AgentError("the node refused")

    monkeypatch.setenv("BYOI_CONTROL_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("BYOI_CONTROL_TOKEN", "t")
    change = KeyChange(key_id="k2", fingerprint="1-2", key_store="keyring", is_in_use=True)
    monkeypatch.setattr(ControlClient, "rotate_key", lambda _: change)
    monkeypatch.setattr(ControlClient, "keys", older)
    code, out, err = byoi("keys", "rotate", "--data-dir", state)
    assert (code, err) == (0, "")
    assert "serves with it" in out


def test_the_keys_of_a_named_node_are_asked_of_it_and_not_read_here(
    byoi, state, enrolled, monkeypatch
):
    monkeypatch.setenv("BYOI_CONTROL_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("BYOI_CONTROL_TOKEN", "t")
    row = KeyRow(
        key_id="k9", fingerprint="9-9", state="present", place="there", since=None, until=None
    )
    told = KeyList(node_id="n9", keys=(row,))
    monkeypatch.setattr(ControlClient, "keys", lambda _: told)
    assert KeyList.model_validate_json(byoi("keys", "--json", "--data-dir", state)[1]) == told
    assert "9-9" in byoi("keys", "--data-dir", state)[1]


def test_a_service_of_another_account_tells_its_keys_itself(byoi, tmp_path, monkeypatch):
    place = NodePlace(node_id="n1", pid=1, control_url="http://127.0.0.1:1", control_token="t")
    (tmp_path / "control.json").write_text(place.model_dump_json())
    (tmp_path / "control.json").chmod(0o600)
    told = KeyList(node_id="n9", keys=())
    monkeypatch.setattr(ControlClient, "keys", lambda _: told)
    code, out, _ = byoi("keys", "--json", "--data-dir", tmp_path)
    assert (code, KeyList.model_validate_json(out)) == (0, told)


def test_a_state_that_somebody_else_holds_is_not_touched(byoi, state, enrolled, console):
    with StateLock(state / "byoi.lock"):
        code, _, err = byoi("keys", "rotate", "--data-dir", state, "--key-store", "file")
    assert code == 69
    assert "already running" in err
    assert console == []


def test_a_credential_that_holds_an_old_key_is_told_with_the_command_to_seal_the_new_one(
    byoi, state, enrolled
):
    enrolled(retired=(OLD.model_copy(update={"key_store": "credential"}),))
    out = byoi("keys", "--data-dir", state)[1]
    file = f"{state}/keys/{fingerprint_of(KEY)}.key"
    assert f"systemd-creds encrypt --name=device-key {file}" in out
    assert f"then delete {file}" in out
    enrolled(retired=(OLD.model_copy(update={"key_store": "credential"}),), key_store="keyring")
    assert "take it out of the unit" in byoi("keys", "--data-dir", state)[1]


def test_a_new_key_beside_a_credential_is_told_to_be_sealed_before_it_is_used(
    byoi, state, enrolled
):
    pending = PendingKey(
        fingerprint="1" * 16, public_key="AAAA", since_ms=0, key_store="file", key_id="k2"
    )
    enrolled(key_store="credential", pending=pending)
    assert f"{'1' * 16}.key" in byoi("keys", "--data-dir", state)[1]
