from __future__ import annotations

import os
import socket
import sys

import pytest

from byoi_agent.control.peer import UNKNOWN, peer_uid, told

needs_credentials = pytest.mark.skipif(
    sys.platform not in {"linux", "darwin"}, reason="only there the system tells who is there"
)


@needs_credentials
def test_the_system_tells_who_is_at_the_other_end():
    one, other = socket.socketpair(socket.AF_UNIX)
    with one, other:
        assert peer_uid(one) == os.getuid()
        assert told(one).startswith(f"uid {os.getuid()}")


@needs_credentials
def test_a_user_without_a_name_is_told_by_number(monkeypatch):
    def none(_uid):
        raise KeyError

    monkeypatch.setattr("byoi_agent.control.peer.pwd.getpwuid", none)
    one, other = socket.socketpair(socket.AF_UNIX)
    with one, other:
        assert told(one) == f"uid {os.getuid()}"


def test_a_connection_without_credentials_is_nobodys():
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as closed:
        closed.close()
        assert told(closed) == UNKNOWN
