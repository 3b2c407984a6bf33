"""`byoi service`: have the system start the node by itself, for one user or for the machine."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Final, Literal

import click

from byoi_agent.cli.main import EXIT_CONFIG
from byoi_agent.cli.options import choose_to_ask, debug_option, json_option, setting_options
from byoi_agent.config.installation import read_installation
from byoi_agent.errors import ConfigError
from byoi_agent.service.choice import Scope, launcher_for, meant_scope
from byoi_agent.service.doing import carry_out, in_words
from byoi_agent.service.launcher import ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from byoi_agent.service.launcher import Launcher, ServiceStatus, Step

_SCOPE: Final = click.option(
    "--system/--user",
    "is_system",
    default=None,
    help="The machine's service (needs root), or this user's own.  [default: the machine's, where "
    "byoi is installed as one]",
)
_DRY_RUN: Final = click.option("--dry-run", is_flag=True, help="Show what would be done.")


@click.group(
    epilog="""\b
Examples:
  byoi service install                 this user's node starts by itself from now on
  byoi service status
  sudo byoi service install --system   the machine's, with an account of its own
"""
)
def service() -> None:
    """Have the system start the node by itself, and start it again when it ends."""


@service.command(
    epilog="""\b
Examples:
  byoi service install
  byoi service install --dry-run
  sudo byoi service install --system --no-start
"""
)
@_SCOPE
@click.option("--no-start", is_flag=True, help="Do not start it now.")
@_DRY_RUN
@setting_options("data_dir")
@json_option
@debug_option
def install(
    *, is_system: bool | None, no_start: bool, dry_run: bool, as_json: bool, **flags: object
) -> None:
    """Write the node's unit, and start it now and whenever the machine or the user does.

    Doing it again mends what has been changed.
    """
    scope = _scope(is_system, default="user")
    launcher = _launcher(scope, flags)
    _check_can_be_installed(scope, is_dry_run=dry_run)
    _do(launcher.install(start=not no_start), dry_run=dry_run, as_json=as_json, launcher=launcher)


@service.command(
    epilog="""\b
Examples:
  byoi service uninstall
  sudo byoi service uninstall --system --purge   with identity, settings, models and account
"""
)
@_SCOPE
@click.option(
    "--purge",
    is_flag=True,
    help="With --system: also state, settings, models and the account.",
)
@_DRY_RUN
@setting_options("data_dir")
@json_option
@debug_option
def uninstall(
    *, is_system: bool | None, purge: bool, dry_run: bool, as_json: bool, **flags: object
) -> None:
    """Stop the node and take its unit away; the enrolment stays but for --purge."""
    scope = _scope(is_system)
    if purge and scope == "user":
        raise click.UsageError(
            "--purge is for --system; what this user's node keeps goes with: byoi unenroll"
        )
    launcher = _launcher(scope, flags)
    _check_can_be_installed(scope, is_dry_run=dry_run)
    _do(launcher.uninstall(purge=purge), dry_run=dry_run, as_json=as_json)


@service.command(epilog="\b\nExamples:\n  byoi service status --json")
@_SCOPE
@setting_options("data_dir")
@json_option
@debug_option
def status(*, is_system: bool | None, as_json: bool, **flags: object) -> None:
    """Tell whether the node is installed as a service, runs, and starts by itself."""
    found = _launcher(_scope(is_system), flags).status()
    click.echo(found.model_dump_json() if as_json else _told(found))


@service.command(epilog="\b\nExamples:\n  byoi service start")
@_SCOPE
@_DRY_RUN
@setting_options("data_dir")
@json_option
@debug_option
def start(*, is_system: bool | None, dry_run: bool, as_json: bool, **flags: object) -> None:
    """Start the installed service."""
    _change(is_system, "start", flags, dry_run=dry_run, as_json=as_json)


@service.command(epilog="\b\nExamples:\n  byoi service stop")
@_SCOPE
@_DRY_RUN
@setting_options("data_dir")
@json_option
@debug_option
def stop(*, is_system: bool | None, dry_run: bool, as_json: bool, **flags: object) -> None:
    """Stop the service; requests end first. It is back with the machine, or the user."""
    _change(is_system, "stop", flags, dry_run=dry_run, as_json=as_json)


@service.command(epilog="\b\nExamples:\n  sudo byoi service restart")
@_SCOPE
@_DRY_RUN
@setting_options("data_dir")
@json_option
@debug_option
def restart(*, is_system: bool | None, dry_run: bool, as_json: bool, **flags: object) -> None:
    """Stop and start the service; requests end first."""
    _change(is_system, "restart", flags, dry_run=dry_run, as_json=as_json)


@service.command(hidden=True, context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def run(arguments: Sequence[str]) -> int:
    """`byoi run` for launchd, which starts anew what ends with a code: not where that is vain."""
    from byoi_agent.cli import program  # noqa: PLC0415 it loads this file

    code = program.run(["run", *arguments])
    return 0 if code == EXIT_CONFIG else code


def _change(
    is_system: bool | None,
    verb: Literal["start", "stop", "restart"],
    flags: dict[str, object],
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    scope = _scope(is_system)
    launcher = _launcher(scope, flags)
    make: Callable[[], Sequence[Step]] = getattr(launcher, verb)
    if not dry_run:
        _check_root(scope)
        if not launcher.status().is_installed:
            raise ConfigError(
                f"there is no such service yet; type: {_prefix(scope)}byoi service install"
                f"{' --system' if scope == 'system' else ''}"
            )
    _do(make(), dry_run=dry_run, as_json=as_json)
    if not dry_run and verb != "stop":
        _check_runs(launcher.status(), scope)


def _check_runs(found: ServiceStatus, scope: Scope) -> None:
    if found.state == "stopped":
        raise ConfigError(
            "the node does not start, as this machine is not enrolled; "
            f"type: {_prefix(scope)}byoi enroll --console URL"
        )
    if found.state == "failed":
        raise ServiceError(f"the node ended at once ({found.words}); byoi doctor tells why")


def _scope(is_system: bool | None, default: Scope | None = None) -> Scope:
    if is_system is None:
        return default or meant_scope()
    return "system" if is_system else "user"


def _launcher(scope: Scope, flags: dict[str, object]) -> Launcher:
    chosen = choose_to_ask(flags)
    data_dir = chosen.paths.state if chosen.is_data_dir_named else None
    if scope == "system" and flags.get("data_dir"):
        raise click.UsageError("--data-dir is for --user: the machine's service has its own")
    return launcher_for(scope, chosen.paths, os.environ, data_dir=data_dir)


def _check_can_be_installed(scope: Scope, *, is_dry_run: bool) -> None:
    if scope == "user":
        return
    found = read_installation()
    if found.kind == "deb":
        raise ConfigError(
            "byoi is here as a Debian package, which brings its service along; to take it away: "
            "sudo apt remove byoi-agent"
        )
    if found.root is None and sys.platform != "win32":
        raise ConfigError(
            f"this byoi lies in {sys.prefix}, where the machine's service cannot use it; "
            "install it for the machine first (install.sh), or leave --system out"
        )
    if not is_dry_run:
        _check_root(scope)


def _check_root(scope: Scope) -> None:
    if scope == "system" and sys.platform != "win32" and os.geteuid() != 0:
        raise ConfigError("the machine's service is root's; type the same with sudo before it")
    if scope == "user" and sys.platform != "win32" and os.geteuid() == 0 and _is_sudo():
        raise ConfigError("this user's own service needs no sudo: type the same without it")


def _is_sudo() -> bool:
    return "SUDO_UID" in os.environ


def _prefix(scope: Scope) -> str:
    return "sudo " if scope == "system" and sys.platform != "win32" else ""


def _do(
    steps: Sequence[Step], *, dry_run: bool, as_json: bool, launcher: Launcher | None = None
) -> None:
    told: list[str] = []

    def tell(step: Step) -> None:
        told.append(in_words(step))
        if not as_json:
            click.echo(f"{'would ' if dry_run else ''}{told[-1]}")

    if dry_run:
        for step in steps:
            tell(step)
    else:
        carry_out(steps, tell)
    hints = launcher.hints() if launcher is not None and not dry_run else ()
    if as_json:
        click.echo(json.dumps({"steps": told, "is_dry_run": dry_run, "hints": list(hints)}))
        return
    for hint in hints:
        click.echo(f"Next: {hint}")


def _told(found: ServiceStatus) -> str:
    whose = "the machine's" if found.scope == "system" else "this user's"
    if not found.is_installed:
        system = " --system" if found.scope == "system" else ""
        return f"Not installed as {whose} service; byoi service install{system} does it."
    start = "starts by itself" if found.is_enabled else "does not start by itself"
    pid = f" (process {found.pid})" if found.pid else ""
    words = f"\n  {found.words}" if found.words else ""
    restarts = f"\n  started again {found.restarts} times" if found.restarts else ""
    file = f"\n  {found.file}" if found.file else ""
    return f"{found.launcher}, {whose} service: {found.state}{pid}, {start}{words}{restarts}{file}"
