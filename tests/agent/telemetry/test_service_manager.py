from __future__ import annotations

import os
import secrets
import socket
import tempfile

import pytest

from byoi_agent.telemetry.service_manager import (
    ServiceManager,
    extend_line,
    reloading_line,
    state_line,
)


@pytest.fixture(params=["path", "abstract"])
def manager(request):
    """A datagram socket as systemd opens it, and the name that it gives to its services."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, listening() as listener:
        if request.param == "path":
            name = f"{folder}/notify"
            listener.bind(name)
        else:
            name = f"@byoi-test-{secrets.token_hex(8)}"
            listener.bind("\0" + name[1:])
        listener.settimeout(60)
        yield name, listener


def listening():
    return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)


def test_each_call_is_one_datagram(manager):
    name, listener = manager
    teller = ServiceManager.take({"NOTIFY_SOCKET": name})
    teller.tell("READY=1", "STATUS=serves")
    teller.tell("STOPPING=1")
    assert listener.recv(4096) == b"READY=1\nSTATUS=serves"
    assert listener.recv(4096) == b"STOPPING=1"


def test_no_child_can_speak_in_our_name():
    environment = {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "HOME": "/"}
    ServiceManager.take(environment)
    assert environment == {"HOME": "/"}


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_a_watchdog_is_heeded_where_it_is_meant_for_this_process(environment, seconds):
    assert ServiceManager.take(environment).watchdog_seconds == seconds


@pytest.mark.parametrize("name", ["", "vsock:2:1", "relative"])
def test_without_a_manager_nothing_is_said(name):
    teller = ServiceManager.take({"NOTIFY_SOCKET": name})
    assert teller.address is None
    teller.tell("READY=1")


def test_a_manager_that_is_gone_is_told_of_once(tmp_path, caplog):
    teller = ServiceManager(str(tmp_path / "none"))
    teller.tell("READY=1")
    teller.tell("WATCHDOG=1")
    assert [record.message for record in caplog.records] == ["service manager not told"]


def test_a_manager_that_does_not_read_holds_nobody_up(manager):
    name, _ = manager
    teller = ServiceManager(name)
    for _ in range(5000):
        teller.tell("WATCHDOG=1")


def test_what_is_said_has_the_form_that_systemd_reads():
    assert state_line("two\nlines") == "STATUS=two lines"
    assert extend_line(15.0) == "EXTEND_TIMEOUT_USEC=15000000"
    assert reloading_line(2.5) == "RELOADING=1\nMONOTONIC_USEC=2500000"
