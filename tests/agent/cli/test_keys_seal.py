from __future__ import annotations

import json
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from byoi_agent.cli import keys_seal
from byoi_agent.config.installation import Installation, ServicePlaces
from byoi_agent.identity.file_store import FileStore
from byoi_agent.identity.keys import fingerprint_of
from byoi_agent.identity.record import RetiredKey, read_record, write_record
from byoi_agent.identity.sealed_file import SealedFile
from byoi_agent.service.linux import SystemService
from byoi_wire.fingerprint import spoken

KEY = Ed25519PrivateKey.generate()
UNIT = "[Service]\nLoadCredentialEncrypted=device-key:byoi.device-key\n"
TURN = "tr A-Za-z N-ZA-Mn-za-m"


@pytest.fixture
def machine(tmp_path, monkeypatch, record_of):
    """A machine whose service is installed and stopped, and whose systemd is a stand-in."""
    state = tmp_path / "state"
    state.mkdir()
    FileStore(state / "keys").save(KEY)
    write_record(state / "identity.json", record_of(KEY))
    program = tmp_path / "systemd-creds"
    program.write_text(f'#!/bin/sh\ncase $1 in encrypt) {TURN} ;; decrypt) {TURN} <"$3" ;; esac\n')
    program.chmod(0o755)
    told = {"--version": "systemd 252 (252.39-1)\n", "cat": UNIT, "show": "ActiveState=inactive\n"}
    told["is-active"] = "inactive\n"
    monkeypatch.setattr(keys_seal, "output_of", lambda argv: told[argv[1]])
    monkeypatch.setattr("byoi_agent.service.linux.output_of", lambda argv: told[argv[1]])
    monkeypatch.setattr(keys_seal, "launcher_for", lambda *_: SystemService(program))
    monkeypatch.setattr(keys_seal, "_is_root", lambda: True)
    became = []

    @contextmanager
    def rights_of(account):
        became.append(account)
        yield

    monkeypatch.setattr(keys_seal, "rights_of", rights_of)
    sealed = SealedFile(tmp_path / "credstore/byoi.device-key", str(program))
    monkeypatch.setattr(keys_seal, "SealedFile", lambda: sealed)
    places = ServicePlaces(
        account="byoi",
        state=state,
        cache=tmp_path / "cache",
        runtime=tmp_path / "run",
        config=tmp_path / "config.toml",
    )
    places.config.touch()
    installation = Installation(kind="deb", service=places)
    for module in ("cli.keys_seal", "control.key_list", "cli.account"):
        monkeypatch.setattr(f"byoi_agent.{module}.read_installation", lambda: installation)
    return SimpleNamespace(
        told=told, sealed=sealed, state=state, config=places.config, became=became
    )


def files(machine):
    return list(machine.state.glob("keys/*.key"))


def test_the_key_goes_into_the_credential_and_back(byoi, machine):
    code, out, _ = byoi("keys", "seal")
    assert code == 0
    assert f"The key {spoken(fingerprint_of(KEY))} is sealed to this machine" in out
    assert "not running" in out
    assert files(machine) == []
    assert machine.sealed.file.exists()
    code, out, _ = byoi("keys", "unseal", "--json")
    assert (code, json.loads(out)["key_store"]) == (0, "file")
    assert len(files(machine)) == 1
    assert not machine.sealed.file.exists()
    assert set(machine.became) == {"byoi"}


def test_what_waits_for_the_enrolment_is_stopped_for_it_and_waits_again(byoi, machine, monkeypatch):
    done = []
    monkeypatch.setattr(keys_seal, "carry_out", lambda steps: done.extend(s.argv for s in steps))
    machine.told["is-active"] = "active\n"
    assert byoi("keys", "seal")[0] == 0
    stop = ("systemctl", "stop", "byoi-agent.path", "byoi-agent.service")
    assert done == [stop, ("systemctl", "start", "byoi-agent.path")]


def test_root_alone_seals(byoi, machine, monkeypatch):
    monkeypatch.setattr(keys_seal, "_is_root", lambda: False)
    for verb in ("seal", "unseal"):
        code, _, err = byoi("keys", verb)
        assert code == 78
        assert f"type: sudo byoi keys {verb}" in err


@pytest.mark.parametrize(
    ("asked", "said", "told"),
    [
        ("--version", "systemd 249 (249.11)\n", "systemd 249 is too old"),
        ("cat", "[Service]\nExecStart=/usr/bin/byoi run\n", "systemctl edit byoi-agent.service"),
    ],
)
def test_a_systemd_that_would_not_hand_the_key_over_is_told(byoi, machine, asked, said, told):
    machine.told[asked] = said
    code, _, err = byoi("keys", "seal")
    assert code == 78
    assert told in err
    assert len(files(machine)) == 1


def test_a_setting_that_leaves_no_other_place_is_named(byoi, machine):
    machine.config.write_text('key_store = "file"\n')
    code, _, err = byoi("keys", "seal")
    assert code == 78
    assert "sudo byoi config set key_store auto" in err


def test_what_is_no_service_of_the_machine_cannot_be_sealed(byoi, monkeypatch):
    monkeypatch.setattr(keys_seal, "read_installation", Installation)
    code, _, err = byoi("keys", "seal")
    assert code == 78
    assert "only the key of a machine's service" in err


def test_after_a_rotation_the_hint_is_this_command(byoi, machine):
    old = RetiredKey(
        key_id="k0",
        fingerprint="0" * 16,
        public_key="AAAA",
        retired_at_ms=1,
        key_store="credential",
    )
    file = machine.state / "identity.json"
    write_record(file, read_record(file).model_copy(update={"retired": (old,)}))
    out = byoi("keys", "--data-dir", machine.state)[1]
    assert "sudo byoi keys seal" in " ".join(out.split())
