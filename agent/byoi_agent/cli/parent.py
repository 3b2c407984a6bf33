"""How a node that another program started notices that it is alone."""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


def when_stdin_ends(loop: asyncio.AbstractEventLoop, ended: Callable[[], None]) -> None:
    """Call `ended` in the loop once standard input is at its end, however its writer ended.

    A thread reads, since not every kind of standard input can be polled; it is a daemon thread, for
    it may wait for ever.
    """

    def wait() -> None:
        try:
            while os.read(sys.stdin.fileno(), 4096):
                pass
        except (OSError, ValueError):
            pass  # closed is ended
        try:
            loop.call_soon_threadsafe(ended)
        except RuntimeError:
            return  # the loop was closed first

    threading.Thread(target=wait, name="standard input", daemon=True).start()
