"""The node as a service of Windows: what its manager asks goes in, what it must hear goes out.

The manager speaks to a thread of its own; the node has the main one, as anywhere else.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol, Self

from byoi_agent.errors import ConfigError, IdentityError
from byoi_agent.service.windows_reports import Report, after, order_of, stopped
from byoi_agent.telemetry.service_manager import ServiceManager

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from types import TracebackType

logger = logging.getLogger(__name__)

BEGIN_SECONDS: Final = 30.0
"""The manager gives up a program that has not spoken to it in this time; so do we."""

_FAILED: Final = 1
_INFORMATION: Final = 4
_ERROR: Final = 1


class ServiceCalls(Protocol):
    """What is asked of the system."""

    def dispatch(self, began: Callable[[], None], control: Callable[[int, int], None]) -> None:
        """Speak with the manager until the last report; `began` comes first, on another thread.

        Raises:
            OSError: the manager did not start this program.
        """
        ...

    def report(self, report: Report) -> None:
        """Tell the manager."""
        ...

    def log(self, kind: int, text: str) -> None:
        """A line in the event log of the system."""
        ...


@dataclass
class _Hooks:
    loop: asyncio.AbstractEventLoop
    by_order: dict[str, Callable[[], None]]


@dataclass
class WindowsService:
    """Sole speaker to the service manager, as a context around the node's whole life."""

    calls: ServiceCalls
    begin_seconds: float = BEGIN_SECONDS
    _report: Report = field(default_factory=Report)
    _hooks: _Hooks | None = None
    _is_stop_wanted: bool = False
    _began: threading.Event = field(default_factory=threading.Event)
    _problem: OSError | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Speak with the manager.

        Raises:
            ConfigError: it did not start this program.
        """
        self._thread = threading.Thread(target=self._dispatch, name="service manager", daemon=True)
        self._thread.start()
        if not self._began.wait(self.begin_seconds) or self._problem is not None:
            raise ConfigError(
                "--as-service is for Windows' service manager; type: byoi service start"
            ) from self._problem
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """The last report: a wrong setting is told, and does not count as a failure.

        A failure is started again after some seconds, which would not change the setting.
        """
        if error is None:
            self.calls.log(_INFORMATION, "The node has stopped.")
        else:
            self.calls.log(_ERROR, f"The node has ended: {error}")
        is_failure = error is not None and not isinstance(error, ConfigError | IdentityError)
        with self._lock:
            self._say(stopped(_FAILED if is_failure else 0))
        assert self._thread is not None
        self._thread.join(self.begin_seconds)

    @property
    def manager(self) -> ServiceManager:
        """What the node speaks to."""
        return _Manager(self)

    def attach(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        stop: Callable[[], None],
        reload: Callable[[], None],
    ) -> None:
        """The node is here: what is asked from now on goes to it, and what was asked before."""
        self._hooks = _Hooks(loop, {"stop": stop, "reload": reload, "woke": _woke})
        if self._is_stop_wanted:
            loop.call_soon_threadsafe(stop)

    def tell(self, *lines: str) -> None:
        """As `ServiceManager.tell`."""
        with self._lock:  # the manager's thread has its say as well
            before, now = self._report, after(self._report, lines)
            if now != before:
                self._say(now)
        if before.accepted == 0 and now.accepted:
            self.calls.log(_INFORMATION, "The node has started.")

    def _dispatch(self) -> None:
        try:
            self.calls.dispatch(self._begin, self._control)
        except OSError as error:
            self._problem = error
            self._began.set()

    def _begin(self) -> None:
        self.calls.report(self._report)
        self._began.set()

    def _control(self, control: int, event: int) -> None:
        """On the manager's thread; nothing is waited for there."""
        order = order_of(control, event)
        if order is None:
            with self._lock:
                self._say(self._report)
            return
        if order == "stop":
            self._is_stop_wanted = True
            self.tell("STOPPING=1")
        if self._hooks is not None:
            self._hooks.loop.call_soon_threadsafe(self._hooks.by_order[order])

    def _say(self, report: Report) -> None:
        self._report = report
        self.calls.report(report)


@dataclass
class _Manager(ServiceManager):
    """The service manager's face that the rooms know."""

    def __init__(self, service: WindowsService) -> None:
        super().__init__(address="Windows")
        self._service = service

    def tell(self, *lines: str) -> None:
        """See `WindowsService.tell`."""
        self._service.tell(*lines)


def _woke() -> None:
    """The link notices by itself, by the clocks that have parted."""
    logger.info("machine woke")
