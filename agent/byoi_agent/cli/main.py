"""The command `byoi`, its commands, and what its exit codes mean.

Light on purpose: while the rest is being imported, Ctrl-C already leaves without a traceback.
"""

from __future__ import annotations

# What `signal` wraps; that one takes its time to import.
import _signal  # type: ignore[import-not-found]
import os
import sys

TYPE_CHECKING = False  # type checkers know the name; `typing` would take its time as well
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 64
EXIT_UNAVAILABLE: Final = 69
EXIT_SOFTWARE: Final = 70
EXIT_CONFIG: Final = 78
EXIT_INTERRUPTED: Final = 130

EXIT_CODES: Final[dict[int, str]] = {
    0: "done; of `byoi run`: stopped as it was told to",
    EXIT_FAILED: "it failed; the sentence on standard error says why and what to type next",
    EXIT_USAGE: "the command line is wrong",
    EXIT_UNAVAILABLE: (
        "what is needed cannot be reached now: console, keyring, engine or running node"
    ),
    EXIT_SOFTWARE: "a fault of byoi itself; `--debug` shows where",
    EXIT_CONFIG: "trying again changes nothing: wrong setting, not enrolled, revoked or replaced",
    EXIT_INTERRUPTED: "stopped by Ctrl-C",
}
"""After sysexits.h where it has one; `byoi help exit-codes` and the documentation show these."""

COMMANDS: Final = (
    "bench",
    "completion",
    "config",
    "dashboard",
    "demo",
    "devices",
    "doctor",
    "engines",
    "enroll",
    "help",
    "keys",
    "logs",
    "mode",
    "models",
    "pause",
    "pins",
    "plan",
    "prove",
    "reload",
    "resume",
    "run",
    "schedule",
    "service",
    "session",
    "status",
    "tray",
    "unenroll",
    "update",
    "usage",
    "version",
)


def main() -> None:
    """Run the command and leave with its exit code."""
    open_standard_streams()
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, leave)
    if "run" in sys.argv[1:3]:
        _signal.signal(_signal.SIGTERM, stop)
        hold_hang_ups()
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line; the exit code is the answer, errors are told on standard error."""
    from byoi_agent.cli import program  # noqa: PLC0415 slow: see above

    return program.run(arguments)


def open_standard_streams() -> None:
    """Put /dev/null where the caller closed one: the next file opened would be taken for it."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest number is this
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def leave(*_: object) -> None:
    """Ctrl-C before anything has begun, or when all is done."""
    os._exit(EXIT_INTERRUPTED)


def stop(*_: object) -> None:
    """SIGTERM before the node has begun: process 1 of a container would not even notice it."""
    os._exit(0)


def hold_hang_ups() -> None:
    """Keep SIGHUP for when the node listens: until then, and after it, it would end the process.

    The one that a closed terminal sends is to end it.
    """
    if hasattr(_signal, "pthread_sigmask") and not os.isatty(2):
        _signal.pthread_sigmask(_signal.SIG_BLOCK, {_signal.SIGHUP})


if __name__ == "__main__":
    main()
