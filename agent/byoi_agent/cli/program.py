"""The command line of `byoi`: finds the command, runs it, and tells its end in a sentence."""

from __future__ import annotations

import errno
import importlib
import os
import signal
import sys
import traceback
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import click
from click.shell_completion import CompletionItem

from byoi_agent.cli.main import (
    COMMANDS,
    EXIT_CONFIG,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_SOFTWARE,
    EXIT_UNAVAILABLE,
    EXIT_USAGE,
    leave,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

_DISK_FAILURES: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})
"""What a disk says that is full, or has failed: no fault of ours."""

_PLACE_FAILURES: Final = frozenset(
    {errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR}
)
"""What is said of a place that this user cannot use, or that can be none: the owner chose it."""


@dataclass
class Invocation:
    """What one call of the program was told for all commands."""

    debug: bool = False


class LazyCommands(click.Group):
    """Imports a command's file when it is typed: `byoi version` pays for nothing else."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, for `--help`."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command = getattr(importlib.import_module(f"byoi_agent.cli.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command of that name and what follows it; for a wrong name the nearest is told."""
        name = args[0]
        is_option = name.startswith("-")
        is_typed = not ctx.resilient_parsing  # else a shell asks what may come next
        if is_typed and not is_option and self.get_command(ctx, name) is None:
            near = importlib.import_module("difflib").get_close_matches(name, COMMANDS, n=1)
            meant = f"did you mean {near[0]!r}?" if near else "byoi help shows the commands"
            raise click.UsageError(f"there is no command {name!r}; {meant}", ctx)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The commands that begin like this; none is imported for it, as somebody waits."""
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return [CompletionItem(name) for name in COMMANDS if name.startswith(incomplete)]


@click.group(
    cls=LazyCommands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: byoi help exit-codes",
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_obj
def byoi(invocation: Invocation, *, debug: bool) -> None:
    """Turns this machine into OpenAI-compatible capacity of a byoi console."""
    invocation.debug = invocation.debug or debug


def run(arguments: Sequence[str]) -> int:
    """Run one command line; the exit code is the answer, errors are told on standard error."""
    invocation = Invocation()
    left_at_once = signal.getsignal(signal.SIGINT) is leave
    try:
        if left_at_once:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if _is_installed():
            account = importlib.import_module("byoi_agent.cli.account")
            arguments = account.act_as_service(arguments, os.environ)
        if "_BYOI_COMPLETE" in os.environ:
            importlib.import_module("byoi_agent.cli.completion").register()
        code = byoi.main(list(arguments), prog_name="byoi", obj=invocation, standalone_mode=False)
        sys.stdout.flush()  # a reader that has gone is noticed here and not when Python ends
    except BaseException as error:  # noqa: BLE001 the process's edge: every end gets its code
        return _ended_by(_cause(error), debug=invocation.debug)
    finally:
        if left_at_once:
            signal.signal(signal.SIGINT, leave)
    return code if isinstance(code, int) else 0


def _is_installed() -> bool:
    """Whether an installer put this here; else there is nothing to read, and no time to lose."""
    return os.path.exists(os.path.join(sys.prefix, "installation.json"))  # noqa: PTH110, PTH118


def exit_code_of(error: BaseException) -> int:
    """Which of the codes above an error means."""
    from byoi_agent import errors  # noqa: PLC0415 `byoi version` never gets here

    told = getattr(error, "exit_code", None)
    if isinstance(error, errors.AgentError) and isinstance(told, int):
        return told
    match error:
        case errors.KeyringAway():
            return EXIT_UNAVAILABLE
        case errors.ConfigError() | errors.IdentityError():
            return EXIT_CONFIG
        case errors.LinkError() | errors.EngineError():
            return EXIT_UNAVAILABLE
        case errors.AgentError():
            return EXIT_FAILED
        case _:
            return EXIT_SOFTWARE


def _ended_by(error: BaseException, *, debug: bool) -> int:
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else EXIT_FAILED
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return EXIT_INTERRUPTED
    if isinstance(error, BrokenPipeError):
        _give_up_output()
        return EXIT_FAILED
    if isinstance(error, click.ClickException):
        error.show()
        return EXIT_USAGE
    if debug:
        traceback.print_exception(error)
    return _told(error)


def _give_up_output() -> None:
    """Nobody reads our output, or its disk is full: Python at its end must not try again."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _told(error: BaseException) -> int:
    """Say in a sentence what went wrong and what to do; returns the exit code for it."""
    from byoi_agent.errors import AgentError  # noqa: PLC0415 `byoi version` never gets here

    if isinstance(error, AgentError):
        click.echo(f"byoi: {error}", err=True)
        return exit_code_of(error)
    if isinstance(error, OSError) and error.errno in _DISK_FAILURES:
        where = f" {error.filename}" if error.filename else ""
        click.echo(
            f"byoi: cannot write{where}: {error.strerror}; make room and try again", err=True
        )
        _give_up_output()
        return EXIT_FAILED
    if isinstance(error, OSError) and error.errno in _PLACE_FAILURES and error.filename:
        click.echo(
            f"byoi: {error.filename} cannot be used: {error.strerror}; choose another place, "
            "or give this user the right to it",
            err=True,
        )
        return EXIT_CONFIG
    click.echo(
        f"byoi: a fault of byoi itself ({type(error).__name__}: {error}); "
        "please report it with the output of --debug",
        err=True,
    )
    return exit_code_of(error)


def _cause(error: BaseException) -> BaseException:
    """The error that a task group carries: one of ours before a fault, a fault before a stop."""
    from byoi_agent.errors import AgentError  # noqa: PLC0415 `byoi version` never gets here

    while isinstance(error, BaseExceptionGroup):
        ours = error.subgroup(AgentError)
        faults = error.subgroup(lambda inner: not isinstance(inner, KeyboardInterrupt))
        error = (ours or faults or error).exceptions[0]
    return error
