from __future__ import annotations

import os
import socket
import sys

import pytest

from byoi_agent.engine.listeners import listening, open_to_others

TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 101 1 0
   1: 0100007F:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 102 1 0
   2: 0500A8C0:1F92 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 103 1 0
   3: 0500A8C0:1F93 0700A8C0:C000 01 00000000:00000000 00:00000000 00000000     0        0 104 1 0
"""
TABLE_6 = """\
  sl  local_address                         remote_address                        st
   0: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 201
   1: 00000000000000000000000001000000:1F91 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 202
   2: 0000000000000000FFFF00000100007F:1F92 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 203
   3: 0000000000000000FFFF00000500A8C0:1F93 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 204
"""  # noqa: E501
little_endian = pytest.mark.skipif(sys.byteorder == "big", reason="only on little-endian machines")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only on Linux is /proc")


@little_endian
def test_what_listens_beyond_loopback_is_read_off_the_kernels_table():
    assert listening(TABLE) == [("101", "0.0.0.0:8080"), ("103", "192.168.0.5:8082")]
    assert listening(TABLE_6) == [("201", "[::]:8080"), ("204", "192.168.0.5:8083")]
    assert listening("") == []


@on_linux
@pytest.mark.parametrize(
    ("family", "host", "shown"),
    [
        (socket.AF_INET, "0.0.0.0", "0.0.0.0"),
        (socket.AF_INET6, "::", "[::]"),
        (socket.AF_INET, "127.0.0.1", None),
        (socket.AF_INET6, "::1", None),
    ],
)
def test_a_process_that_listens_to_a_network_is_found(family, host, shown):
    before = set(open_to_others([os.getpid()]))
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        try:
            listener.bind((host, 0))
        except OSError:
            pytest.skip("only on machines with IPv6")
        listener.listen()
        port = listener.getsockname()[1]
        expected = {f"{shown}:{port}"} if shown else set()
        assert set(open_to_others([os.getpid()])) - before == expected
    assert set(open_to_others([os.getpid()])) == before


def test_a_process_that_is_gone_listens_nowhere():
    assert open_to_others([2**22 + 1]) == ()
