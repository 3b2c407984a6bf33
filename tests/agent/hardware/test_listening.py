from __future__ import annotations

import os
import socket

import pytest

from byoi_agent.hardware import listening
from byoi_agent.hardware.listening import processes_at

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout"


def line(port, uid, state="0A"):
    return f"   0: 0100007F:{port:04X} 00000000:0000 {state} 0:0 00:0 0  {uid}  0 4242 1 0 100 0"


@pytest.fixture
def proc(tmp_path, monkeypatch):
    """A /proc whose sockets are nobody's that we may see."""
    monkeypatch.setattr(listening, "listening_on", lambda _port: frozenset())
    monkeypatch.setattr(
        listening, "_owners", lambda _proc: [(10, 998), (11, 998), (12, 1000), (13, 0)]
    )
    (tmp_path / "net").mkdir()

    def write(*lines):
        (tmp_path / "net" / "tcp").write_text("\n".join([HEAD, *lines]))
        return tmp_path

    return write


def test_who_listens_on_a_port_is_found_by_its_socket():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert processes_at(port) == {os.getpid()}
    assert os.getpid() not in processes_at(port)


def test_what_a_services_own_account_runs_is_that_services(proc):
    assert processes_at(11434, proc(line(11434, 998), line(80, 0))) == {10, 11}


@pytest.mark.parametrize("told", [line(11434, 1000), line(11434, 0), line(11434, 998, "01"), ""])
def test_a_persons_or_roots_other_processes_are_not_taken_for_the_server(proc, told):
    assert processes_at(11434, proc(*filter(None, [told]))) == frozenset()


def test_processes_are_known_by_the_account_they_run_as(tmp_path):
    (tmp_path / "12").mkdir()
    (tmp_path / "self").mkdir()
    assert listening._owners(tmp_path) == [(12, os.getuid())]


def test_where_there_are_no_such_tables_nothing_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(listening, "listening_on", lambda _port: frozenset())
    assert processes_at(11434, tmp_path) == frozenset()
