"""How a console that was started by another program notices that it is alone."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Final

from byoi_console.errors import ConfigError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

_PR_SET_PDEATHSIG: Final = 1


def end_with_parent() -> None:
    """Have the kernel send SIGTERM when the parent dies, however it dies.

    Raises:
        ConfigError: this system cannot do that.
    """
    if sys.platform != "linux":
        raise ConfigError("exit-with-parent needs Linux; use --exit-with-stdin")
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        # It died before we asked: nobody would ever tell us.
        os.kill(os.getpid(), signal.SIGTERM)


def when_stdin_ends(loop: asyncio.AbstractEventLoop, ended: Callable[[], None]) -> None:
    """Call `ended` in the loop once standard input is at its end.

    A thread reads, since not every kind of standard input can be polled; it is a daemon, for it
    may wait for ever.
    """

    def wait() -> None:
        try:
            while os.read(sys.stdin.fileno(), 4096):
                pass
        except OSError:
            pass  # closed is ended
        try:
            loop.call_soon_threadsafe(ended)
        except RuntimeError:
            return  # the loop was closed first

    threading.Thread(target=wait, name="standard input", daemon=True).start()
