"""The node's key in a real Secret Service, and what happens where there is none to be had."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jeepney import Parser, new_method_return

from byoi_agent.errors import IdentityError
from byoi_agent.identity.credential_store import CredentialStore
from byoi_agent.identity.file_store import FileStore
from byoi_agent.identity.keyring_store import KeyringStore
from byoi_agent.identity.keys import fingerprint_of, raw_public_key
from byoi_agent.identity.stores import keep

SLOW_MACHINE_SECONDS = 30.0


@pytest.fixture
def desktop(helper, tmp_path, monkeypatch):
    """A session with an unlocked keyring, which this process and its children see."""
    module = helper("secret_service")
    module.need_secret_service()
    with module.SecretService(tmp_path / "desktop") as session:
        for name, value in session.env.items():
            monkeypatch.setenv(name, value)
        yield session


@pytest.fixture
def key():
    return Ed25519PrivateKey.generate()


def test_a_key_is_kept_found_and_forgotten(desktop, key):
    store = KeyringStore(seconds=SLOW_MACHINE_SECONDS)
    assert store.load(fingerprint_of(key)) is None
    store.save(key)
    assert raw_public_key(store.load(fingerprint_of(key))) == raw_public_key(key)
    store.delete(fingerprint_of(key))
    assert store.load(fingerprint_of(key)) is None


@pytest.mark.usefixtures("desktop")
def test_an_unlocked_keyring_comes_before_a_file(key, tmp_path):
    keyring, file = KeyringStore(seconds=SLOW_MACHINE_SECONDS), FileStore(tmp_path / "keys")
    assert keep(key, (CredentialStore({}), keyring, file)).store is keyring
    assert not (tmp_path / "keys").exists()


@pytest.mark.slow
async def test_a_node_of_a_desktop_lives_on_a_key_in_the_keyring(desktop, deployment):
    # By name: where a file would do as well, a keyring has five seconds, busy as the machine is.
    deployment.env.update(desktop.env, BYOI_KEY_STORE="keyring")
    await deployment.start_console()
    engine = await deployment.start_fake_engine()
    data = await deployment.enrol("node")
    record = json.loads((data / "identity.json").read_text())
    assert record["key_store"] == "keyring"
    assert not (data / "keys").exists()
    await deployment.run_node("node", "--engine", engine.ready["url"])
    assert (await deployment.chat("Hello")).is_complete
    shown = json.loads(await deployment.program("byoi", "status", "--json", "--data-dir", data))
    assert shown["key_store"] == "keyring"
    assert "key-in-file" not in [warning["name"] for warning in shown["warnings"]]

    await deployment.program("byoi", "keys", "rotate", "--data-dir", data)
    after = json.loads((data / "identity.json").read_text())
    assert (after["key_store"], after["retired"][0]["key_store"]) == ("keyring", None)
    store = KeyringStore(seconds=SLOW_MACHINE_SECONDS)
    assert await asyncio.to_thread(store.load, record["fingerprint"]) is None
    assert await asyncio.to_thread(store.load, after["fingerprint"]) is not None
    assert not (data / "keys").exists()


async def test_a_machine_without_a_desktop_works_at_once_and_is_told(deployment, tmp_path):
    gone = {"DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "WAYLAND_DISPLAY"}
    deployment.env = {name: value for name, value in deployment.env.items() if name not in gone}
    deployment.env.update(BYOI_KEY_STORE="auto", XDG_RUNTIME_DIR=str(tmp_path))
    await deployment.start_console()
    data = deployment.folder / "node"
    token = (await deployment.admin("POST", "/api/join-tokens", {"uses": 1}))["token"]
    command = ("byoi", "enroll", "--console", deployment.url, "--data-dir", data)
    process = await deployment.start_program(*command, BYOI_JOIN_TOKEN=token)
    _, told = await process.communicate()
    assert process.returncode == 0, told.decode()
    assert "The key lies in a file that only you can read: the keyring cannot be used" in (
        told.decode()
    )
    assert json.loads((data / "identity.json").read_text())["key_store"] == "file"


@pytest.mark.slow
def test_a_locked_keyring_is_given_up_within_its_bound(helper, tmp_path, monkeypatch, key):
    module = helper("secret_service")
    module.need_secret_service()
    with module.SecretService(tmp_path) as first:
        for name, value in first.env.items():
            monkeypatch.setenv(name, value)
        KeyringStore(seconds=SLOW_MACHINE_SECONDS).save(key)
    with module.SecretService(tmp_path, is_locked=True) as second:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", second.env["DBUS_SESSION_BUS_ADDRESS"])
        begun = time.monotonic()
        with pytest.raises(IdentityError, match="keyring"):
            KeyringStore(seconds=3.0).load(fingerprint_of(key))
        assert time.monotonic() - begun < SLOW_MACHINE_SECONDS


@pytest.mark.slow
def test_a_d_bus_that_never_answers_is_given_up_within_its_bound(tmp_path, monkeypatch, key):
    path = tmp_path / "bus"
    asked = threading.Event()

    def bus(listener):
        """Lets everybody in and greets them, and then says nothing any more."""
        with contextlib.ExitStack() as held, contextlib.suppress(OSError):
            while True:
                connection = held.enter_context(listener.accept()[0])
                said = b""
                while b"BEGIN\r\n" not in said:
                    said = connection.recv(4096)
                    if said.lstrip(b"\0").startswith(b"AUTH"):
                        connection.sendall(b"OK 0123456789abcdef0123456789abcdef\r\n")
                parser = Parser()
                parser.add_data(said.partition(b"BEGIN\r\n")[2])
                while (hello := parser.get_next_message()) is None:
                    parser.add_data(connection.recv(4096))
                greeting = new_method_return(hello, "s", (":1.1",))
                connection.sendall(greeting.serialise(serial=1))
                asked.set()

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=bus, args=(listener,))
        thread.start()
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", f"unix:path={path}")
        with pytest.raises(IdentityError, match="has not answered within 4 s"):
            KeyringStore(seconds=4.0).save(key)
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
    assert asked.is_set(), "nobody ever asked"
