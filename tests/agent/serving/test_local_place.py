from __future__ import annotations

import socket

import pytest

from byoi_agent.errors import ConfigError
from byoi_agent.serving import local_place
from byoi_agent.serving.local_place import listen, read_key


def ports(listeners):
    found = {listener.getsockname()[1] for listener in listeners}
    for listener in listeners:
        listener.close()
    return found


def a_free_port():
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


def test_both_families_have_the_same_port():
    listeners = listen(0)
    names = [listener.getsockname()[0] for listener in listeners]
    assert names in (["127.0.0.1"], ["127.0.0.1", "::1"])
    assert len(ports(listeners)) == 1


def test_the_usual_port_is_had_where_it_is_free_and_another_where_it_is_not(monkeypatch):
    port = a_free_port()
    monkeypatch.setattr(local_place, "USUAL_PORT", port)
    first = listen(None)
    second = listen(None)
    assert ports(first) == {port}
    assert ports(second) != {port}


def test_a_port_that_was_asked_for_is_had_or_refused():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=f"local_port {port} cannot be used"):
            listen(port)


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_a_port_that_somebody_else_has_on_ipv6_is_not_had():
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigError):
            listen(port)


def test_a_key_is_read_from_a_file_that_nobody_else_may_read(tmp_path):
    assert read_key(None) is None
    file = tmp_path / "key"
    file.write_text("  secret\n")
    file.chmod(0o600)
    assert read_key(file) == "secret"
    file.chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        read_key(file)


@pytest.mark.parametrize("text", [b"", b"\n", b"two words", b"x" * 1025, "schlüssel".encode()])
def test_what_is_no_key_opens_nothing(tmp_path, text):
    file = tmp_path / "key"
    file.write_bytes(text)
    file.chmod(0o600)
    with pytest.raises(ConfigError):
        read_key(file)


def test_a_key_that_is_not_there_opens_nothing(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_key(tmp_path / "none")
