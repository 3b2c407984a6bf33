from __future__ import annotations

import asyncio
import threading

import pytest

from byoi_agent.errors import ConfigError
from byoi_agent.service import windows_host
from byoi_agent.service.windows_host import WindowsService
from byoi_agent.service.windows_reports import (
    RUNNING,
    START_PENDING,
    STOP_PENDING,
    STOPPED,
    after,
)


class Manager:
    """Windows' service manager: calls back until it has had the last report."""

    def __init__(self, problem=None):
        self.problem = problem
        self.reports = []
        self.events = []
        self.control = None
        self._over = threading.Event()

    def dispatch(self, began, control):
        if self.problem is not None:
            raise self.problem
        self.control = control
        began()
        assert self._over.wait(60)

    def report(self, report):
        self.reports.append(report)
        if report.state == STOPPED:
            self._over.set()

    def log(self, kind, text):
        self.events.append((kind, text))

    @property
    def states(self):
        return [report.state for report in self.reports]


def test_a_life_from_start_to_stop_is_told():
    manager = Manager()
    with WindowsService(manager) as service:
        service.manager.tell("READY=1")
        service.manager.tell("STATUS=serves")
        service.manager.tell("STOPPING=1", "EXTEND_TIMEOUT_USEC=15000000")
    assert manager.states == [START_PENDING, RUNNING, STOP_PENDING, STOPPED]
    assert manager.reports[-1].code == 0
    assert manager.events == [(4, "The node has started."), (4, "The node has stopped.")]


def test_the_rooms_take_it_for_a_manager_without_a_watchdog():
    manager = WindowsService(Manager()).manager
    assert manager.address is not None
    assert manager.watchdog_seconds is None


async def test_a_stop_is_told_at_once_and_reaches_the_nodes_loop():
    manager, stopped = Manager(), asyncio.Event()
    with WindowsService(manager) as service:
        service.attach(asyncio.get_running_loop(), stop=stopped.set, reload=pytest.fail)
        service.manager.tell("READY=1")
        await asyncio.to_thread(manager.control, 0x1, 0)
        async with asyncio.timeout(60):
            await stopped.wait()
        assert manager.states[-1] == STOP_PENDING


async def test_a_stop_before_the_node_is_there_is_not_lost():
    manager, stopped = Manager(), asyncio.Event()
    with WindowsService(manager) as service:
        manager.control(0x1, 0)
        service.attach(asyncio.get_running_loop(), stop=stopped.set, reload=pytest.fail)
        async with asyncio.timeout(60):
            await stopped.wait()


def test_a_stop_between_two_reports_is_not_taken_back_by_the_second(monkeypatch):
    manager = Manager()
    with WindowsService(manager) as service:
        stopping = threading.Thread(target=manager.control, args=(0x1, 0))

        def slowly(report, lines):
            if threading.current_thread() is threading.main_thread():
                stopping.start()
                stopping.join(0.2)  # as long as it takes where nothing holds it up
            return after(report, lines)

        monkeypatch.setattr(windows_host, "after", slowly)
        service.manager.tell("READY=1")
        stopping.join()
        assert manager.states[-1] == STOP_PENDING


async def test_changed_parameters_have_the_settings_read_again():
    manager, reloaded = Manager(), asyncio.Event()
    with WindowsService(manager) as service:
        service.attach(asyncio.get_running_loop(), stop=pytest.fail, reload=reloaded.set)
        manager.control(0x6, 0)
        manager.control(0xD, 0x12)  # awake again: the link sees to itself
        async with asyncio.timeout(60):
            await reloaded.wait()


def test_asked_how_it_stands_it_says_so_again():
    manager = Manager()
    with WindowsService(manager):
        manager.control(0x4, 0)
        assert manager.states == [START_PENDING, START_PENDING]


def test_a_program_that_nobody_started_as_a_service_says_what_to_type():
    with pytest.raises(ConfigError, match="byoi service start"):
        WindowsService(Manager(OSError(1063, "not started by it"))).__enter__()


def test_a_manager_that_never_speaks_is_not_waited_for_for_ever():
    class Silent(Manager):
        def dispatch(self, began, control):
            """Nothing."""

    with pytest.raises(ConfigError, match="service manager"):
        WindowsService(Silent(), begin_seconds=0.01).__enter__()


@pytest.mark.parametrize(("error", "code"), [(RuntimeError("boom"), 1), (ConfigError("no"), 0)])
def test_a_failure_is_started_again_and_a_wrong_setting_is_not(error, code):
    manager = Manager()
    with pytest.raises(type(error)), WindowsService(manager):
        raise error
    assert manager.reports[-1].code == code
    assert manager.events == [(1, f"The node has ended: {error}")]
