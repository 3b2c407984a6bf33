from __future__ import annotations

import asyncio
import socket

import pytest

from byoi_console.telemetry.service_manager import ServiceManager


@pytest.fixture
def manager(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60)
        yield manager


def told(manager):
    return manager.recv(4096).decode().split("\n")


def test_ready_reloading_and_stopping_are_told(manager):
    service = ServiceManager({"NOTIFY_SOCKET": manager.getsockname()})
    service.ready("http://127.0.0.1:8700")
    assert told(manager) == ["READY=1", "STATUS=serves at http://127.0.0.1:8700"]
    service.reloading()
    assert told(manager)[0] == "RELOADING=1"
    service.stopping(30)
    assert "EXTEND_TIMEOUT_USEC=45000000" in told(manager)


async def test_the_watchdog_sees_that_the_loop_turns(manager):
    variables = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "30000"}
    running = asyncio.create_task(ServiceManager(variables).run())
    for _ in range(2):
        assert await asyncio.to_thread(told, manager) == ["WATCHDOG=1"]
    running.cancel()


@pytest.mark.parametrize(
    "variables", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1234"}]
)
async def test_without_a_manager_nothing_is_said(variables):
    service = ServiceManager({**variables, "WATCHDOG_USEC": "1000"})
    service.ready("x")
    await asyncio.wait_for(service.run(), 60)


def test_a_manager_that_is_away_ends_nothing(tmp_path):
    ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready("x")
