from __future__ import annotations

import subprocess
import sys

import pytest

from byoi_agent.config.paths import resolve
from byoi_agent.config.settings import Settings
from byoi_agent.errors import IdentityError, KeyringAway
from byoi_agent.identity.keyring_store import KeyringStore
from byoi_agent.identity.keys import fingerprint_of, raw_public_key
from byoi_agent.identity.stores import stores_for

# A keyring in a file, spoken to as the real child is: one question on standard input.
CHILD = """
import json, pathlib, sys
file = pathlib.Path(sys.argv[1])
kept = json.loads(file.read_text()) if file.exists() else {}
question = json.load(sys.stdin)
answer = {"secret": None}
match question["action"]:
    case "get": answer = {"secret": kept.get(question["account"])}
    case "set": kept[question["account"]] = question["secret"]
    case "delete": kept.pop(question["account"], None)
file.write_text(json.dumps(kept))
print(json.dumps(answer))
"""
SAYS_LOCKED = 'print(\'{"problem": "it is locked"}\')'
PATIENT_SECONDS = 120.0
"""Within which any machine has started a program."""


def child(program, *arguments):
    return (sys.executable, "-c", program, *map(str, arguments))


def test_a_key_is_kept_found_and_forgotten(tmp_path, key):
    store = KeyringStore(child(CHILD, tmp_path / "ring"), seconds=PATIENT_SECONDS)
    store.save(key)
    assert raw_public_key(store.load(fingerprint_of(key))) == raw_public_key(key)
    store.delete(fingerprint_of(key))
    assert store.load(fingerprint_of(key)) is None


def test_a_keyring_that_never_answers_is_given_up(key):
    store = KeyringStore(child("import signal; signal.pause()"), seconds=0.3)
    with pytest.raises(IdentityError, match="has not answered"):
        store.save(key)


def test_a_key_that_lies_there_is_waited_for_longer_than_a_place_for_a_new_one(
    tmp_path, key, monkeypatch
):
    limits = []

    def run(*_, timeout, **__):
        limits.append(timeout)
        raise subprocess.TimeoutExpired("child", timeout)

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(KeyringAway, match=r"not answered within 30 s.*sign in"):
        KeyringStore().load(fingerprint_of(key))
    with pytest.raises(IdentityError, match="not answered within 5 s"):
        KeyringStore().save(key)
    only = Settings(data_dir=tmp_path, key_store="keyring")
    (alone,) = stores_for(only, resolve(only, {}), {})
    with pytest.raises(IdentityError):
        alone.save(key)
    assert limits == [30.0, 5.0, 30.0]


@pytest.mark.parametrize("program", ["raise SystemExit(1)", "print('nonsense')"])
def test_a_keyring_that_breaks_is_a_refusal(program, key):
    with pytest.raises(IdentityError, match="cannot be asked"):
        KeyringStore(child(program), seconds=PATIENT_SECONDS).save(key)


def test_a_refusal_is_passed_on_in_words():
    store = KeyringStore(child(SAYS_LOCKED), seconds=PATIENT_SECONDS)
    with pytest.raises(KeyringAway, match="it is locked"):
        store.load("abc")


def test_the_real_child_answers_within_its_bound_on_a_machine_without_a_keyring(key, monkeypatch):
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    with pytest.raises(IdentityError, match="no safe keyring"):
        KeyringStore(seconds=PATIENT_SECONDS).save(key)
