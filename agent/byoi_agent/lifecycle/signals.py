"""What signals ask of the node: to stop, to stop at once, to read its settings again."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)


class Stop:
    """Sole owner of the wish to stop: first politely, then at once."""

    def __init__(self) -> None:
        self.is_wanted = asyncio.Event()
        self.is_urgent = asyncio.Event()

    def ask(self) -> None:
        """A signal: the first lets requests end, the second does not."""
        if self.is_wanted.is_set():
            self.is_urgent.set()
        self.is_wanted.set()

    def at_once(self) -> None:
        """Nobody is left to serve."""
        self.is_urgent.set()
        self.is_wanted.set()


def listen(stop: Stop, reload: Callable[[], None]) -> None:
    """Heed SIGTERM, SIGINT and SIGHUP of this process for as long as its loop runs.

    SIGHUP is also what a terminal that is closed sends: a node that ran in one stops then. Windows
    has Ctrl-C and Ctrl-Break in place of the signals, and its services hear of the rest.
    """
    loop = asyncio.get_running_loop()
    if sys.platform == "win32":
        for number in (signal.SIGINT, signal.SIGBREAK):
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.ask))
        return
    began_in_terminal = _has_terminal()

    def hung_up() -> None:
        if began_in_terminal and not _has_terminal():
            logger.info("terminal closed")
            stop.ask()
        else:
            reload()

    loop.add_signal_handler(signal.SIGTERM, stop.ask)
    loop.add_signal_handler(signal.SIGINT, stop.ask)
    loop.add_signal_handler(signal.SIGHUP, hung_up)
    # One that came while the node began was kept; what it was sent for may not have been read.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})


def _has_terminal() -> bool:
    try:
        return os.isatty(2)
    except OSError:
        return False
