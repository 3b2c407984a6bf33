from __future__ import annotations

import importlib
import io
import json
import sys

import pytest

from byoi_agent.identity import keyring_child
from byoi_agent.identity.keyring_child import answer, unsafe


class Ring:
    priority = 5

    def __init__(self):
        self.kept = {}

    def get_password(self, service, account):
        return self.kept.get((service, account))

    def set_password(self, service, account, secret):
        self.kept[service, account] = secret

    def delete_password(self, service, account):
        del self.kept[service, account]


class Weak(Ring):
    priority = 0.5


class Plain(Ring):
    priority = 9


Plain.__module__ = "keyrings.alt.file"


def question(action, secret=None):
    return {"action": action, "service": "s", "account": "a", "secret": secret}


def test_a_safe_keyring_keeps_gives_and_forgets():
    ring = Ring()
    assert answer(question("get"), ring) == {"secret": None}
    answer(question("set", "x"), ring)
    assert answer(question("get"), ring) == {"secret": "x"}
    answer(question("delete"), ring)
    answer(question("delete"), ring)
    assert ring.kept == {}


@pytest.mark.parametrize("ring", [Weak(), Plain()])
def test_a_weak_or_plain_text_keyring_never_sees_the_secret(ring):
    assert answer(question("set", "x"), ring)["problem"]
    assert ring.kept == {}


def test_a_chain_with_a_plain_text_link_is_refused():
    chain = Ring()
    chain.backends = [Ring(), Plain()]
    assert unsafe(chain)
    chain.backends = [Ring()]
    assert unsafe(chain) is None


def test_a_backend_that_raises_is_an_answer(monkeypatch, capsys):
    class Broken(Ring):
        def get_password(self, _service, _account):
            raise RuntimeError("no bus")

    monkeypatch.setattr("keyring.get_keyring", Broken)
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(question("get"))))
    keyring_child.main()
    assert json.loads(capsys.readouterr().out) == {"problem": "RuntimeError: no bus"}


@pytest.mark.parametrize("name", ["fail", "null"])
def test_what_keyring_falls_back_to_is_refused(name):
    backend = importlib.import_module(f"keyring.backends.{name}").Keyring()
    assert answer(question("set", "x"), backend) == {"problem": "no safe keyring is there"}


@pytest.mark.parametrize(
    "module",
    [
        "keyring.backends.Windows",
        "keyring.backends.macOS",
        "keyring.backends.SecretService",
        "keyring.backends.kwallet",
    ],
)
def test_the_systems_own_keyrings_are_taken(module):
    backend = type("Keyring", (Ring,), {"__module__": module})()
    assert answer(question("set", "x"), backend) == {"secret": None}
    assert answer(question("get"), backend) == {"secret": "x"}


@pytest.mark.parametrize("module", ["keyrings.alt.file", "keyrings.alt.Windows"])
def test_plain_text_stays_refused_however_good_it_thinks_it_is(module):
    backend = type("Keyring", (Ring,), {"__module__": module, "priority": 99})()
    assert "plain-text" in unsafe(backend)


def test_a_real_chain_with_a_plain_text_part_is_refused(monkeypatch):
    from keyring.backends.chainer import ChainerBackend

    monkeypatch.setattr(ChainerBackend, "backends", [Ring(), Plain()])
    assert "plain-text" in unsafe(ChainerBackend())
