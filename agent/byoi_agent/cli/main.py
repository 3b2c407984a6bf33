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
    EXIT_UNAVAILABLE: "what is needed cannot be reached now: console, engine or running node",
    EXIT_SOFTWARE: "a fault of byoi itself; `--debug` shows where",
    EXIT_CONFIG: "trying again changes nothing: wrong setting, not enrolled, revoked or replaced",
    EXIT_INTERRUPTED: "stopped by Ctrl-C",
}
"""After sysexits.h where it has one; `byoi help exit-codes` and the documentation show these."""

COMMANDS: Final = (
    "config",
    "demo",
    "engines",
    "enroll",
    "help",
    "keys",
    "logs",
    "reload",
    "run",
    "status",
    "unenroll",
    "usage",
    "version",
)


def main() -> None:
    """Run the command and leave with its exit code."""
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, leave)
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line; the exit code is the answer, errors are told on standard error."""
    from byoi_agent.cli import program  # noqa: PLC0415 slow: see above

    return program.run(arguments)


def leave(*_: object) -> None:
    """Ctrl-C before anything has begun, or when all is done."""
    os._exit(EXIT_INTERRUPTED)


if __name__ == "__main__":
    main()
