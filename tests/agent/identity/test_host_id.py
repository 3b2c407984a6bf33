from __future__ import annotations

import hashlib
import hmac
import subprocess
import sys
import types

import pytest

from byoi_agent.identity import host_id
from byoi_agent.identity.host_id import sign_of

ID = "0123456789abcdef0123456789abcdef"


def test_the_sign_is_the_origin_under_the_machine_s_id():
    expected = hmac.new(
        ID.encode(), b"byoi-machine-v1\0https://console.example:8443", hashlib.sha256
    )
    assert sign_of("https://Console.Example:8443/byoi", lambda: ID) == expected.hexdigest()


def test_two_consoles_see_two_signs():
    assert sign_of("https://a", lambda: ID) != sign_of("https://b", lambda: ID)


def test_a_machine_without_an_id_has_no_sign():
    assert sign_of("https://a", lambda: None) is None


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(host_id, "_LINUX_FILES", (tmp_path / "first", tmp_path / "second"))
    return tmp_path


def test_linux_keeps_it_in_a_file(files):
    (files / "second").write_text(ID + "\n")
    assert host_id.host_id() == ID
    (files / "first").write_text("f" * 32)
    assert host_id.host_id() == "f" * 32


@pytest.mark.parametrize("content", [b"", b"uninitialized\n", b"\xff" * 32])
def test_an_id_that_was_never_set_is_none(files, content):
    (files / "first").write_bytes(content)
    assert host_id.host_id() is None


def test_a_mac_tells_it_through_its_own_program(monkeypatch):
    told = '  "IOPlatformUUID" = "564D1B4E-91D0-4B7E-A2C0-0F2B7E3A9C11"\n'
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(
        subprocess, "run", lambda *_, **__: types.SimpleNamespace(stdout=told, returncode=0)
    )
    assert host_id.host_id() == "564D1B4E-91D0-4B7E-A2C0-0F2B7E3A9C11"


def test_a_mac_that_does_not_tell_has_none(monkeypatch):
    def fails(*_, **__):
        raise subprocess.TimeoutExpired("ioreg", 5)

    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(subprocess, "run", fails)
    assert host_id.host_id() is None


class Registry(types.ModuleType):
    HKEY_LOCAL_MACHINE = "machine"

    def __init__(self, value):
        super().__init__("winreg")
        self.value = value
        self.opened = []

    def OpenKey(self, root, path):  # noqa: N802 (winreg's own spelling)
        self.opened.append((root, path))
        if self.value is None:
            raise FileNotFoundError
        return self

    def QueryValueEx(self, key, name):  # noqa: N802
        assert name == "MachineGuid"
        return self.value, 1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


@pytest.mark.parametrize("value", ["b7f9a1de-5d5e-4b0e-9f0a-2b9b0c7f0a11", None])
def test_windows_keeps_it_in_the_registry(monkeypatch, value):
    registry = Registry(value)
    monkeypatch.setitem(sys.modules, "winreg", registry)
    monkeypatch.setattr(sys, "platform", "win32")
    assert host_id.host_id() == value
    assert registry.opened == [("machine", r"SOFTWARE\Microsoft\Cryptography")]
