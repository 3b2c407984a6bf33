"""`byoi doctor`: what is wrong on this machine, and how to mend it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from byoi_agent.cli.main import EXIT_FAILED
from byoi_agent.cli.options import (
    choose_to_ask,
    debug_option,
    json_option,
    setting_options,
    width_of,
)
from byoi_agent.config.paths import config_file
from byoi_agent.control.client import NodeUnreachable
from byoi_agent.control.instances import find
from byoi_agent.doctor.finding import Report
from byoi_agent.doctor.patient import Complaint, Patient, RunningNode
from byoi_agent.errors import AgentError
from byoi_agent.identity.record import read_record

if TYPE_CHECKING:
    from byoi_agent.cli.options import Chosen
    from byoi_agent.control.client import ControlClient
    from byoi_agent.control.schema import StatusReport
    from byoi_agent.hardware.devices import ProbeReading

_MARKS: Final = {"ok": "✓", "warn": "!", "fail": "✗", "skipped": "·"}
_COLOURS: Final = {"ok": "green", "warn": "yellow", "fail": "red", "skipped": "dim"}


class _Node(NamedTuple):
    """A running node."""

    client: ControlClient
    status: StatusReport


@click.command(
    epilog="""\b
Examples:
  byoi doctor
  byoi doctor --fix
  byoi doctor --bundle
  byoi doctor --json | jq '.checks[] | select(.state == "fail")'

Exit code 1 where something keeps the node from serving. What --fix does loses nothing: it takes
rights from others, removes half-written files, and ends engines of a killed node.
"""
)
@setting_options("data_dir")
@click.option("--fix", "shall_fix", is_flag=True, help="Mend what can be mended without asking.")
@click.option(
    "--bundle",
    "shall_bundle",
    is_flag=True,
    help="Write an archive for whoever helps, without secrets.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The archive's file; one with the time in its name if left out.",
)
@json_option
@debug_option
def doctor(
    *,
    shall_fix: bool,
    shall_bundle: bool,
    output: Path | None,
    as_json: bool,
    **flags: object,
) -> int:
    """Look at settings, folders, drivers, network, console, key, engine and node.

    Each thing that is wrong is told with its mend. Works with and without a running node; one that
    runs tells how it looks from its own account, also where that is a system service's.
    """
    chosen = choose_to_ask(flags)
    node = _running(chosen)
    patient = _patient(chosen, None if node is None else node.status)
    report = _look(node, patient)
    if shall_fix:
        report = _mended(report, node, patient)
    bundled = _bundle(patient, report, node, output) if shall_bundle or output else None
    if as_json:
        told = report.model_dump(mode="json")
        click.echo(json.dumps(told if bundled is None else {**told, "bundle": str(bundled)}))
    else:
        _show(report)
        if bundled is not None:
            click.echo(f"\n{bundled}: look through it, then send it to whoever helps you")
    return 0 if report.is_well else EXIT_FAILED


def _running(chosen: Chosen) -> _Node | None:
    """The node that is meant, if one answers."""
    found = find(chosen.paths, os.environ, is_named=chosen.is_data_dir_named)
    if found.found_by == "demo":
        click.echo("byoi: asking the node of the running demo", err=True)
    for instance in found.nodes:
        try:
            return _Node(instance.client, instance.client.status())
        except NodeUnreachable as silence:
            click.echo(f"byoi: {silence}", err=True)
    return None


def _patient(chosen: Chosen, status: StatusReport | None) -> Patient:
    data_dir = chosen.settings.data_dir
    return Patient(
        settings=chosen.settings,
        paths=chosen.paths,
        environment=os.environ,
        config_file=chosen.loaded.file or config_file(data_dir, os.environ),
        console_url=_console_url(chosen, status),
        node=None if status is None else _node_of(status),
    )


def _console_url(chosen: Chosen, status: StatusReport | None) -> str | None:
    if status is not None:
        return status.link.console_url.rstrip("/")
    if chosen.settings.console:
        return chosen.settings.console.rstrip("/")
    try:
        record = read_record(chosen.paths.identity_file)
    except (AgentError, OSError):
        return None  # the check of the key tells why
    return None if record is None else record.console_url.rstrip("/")


def _node_of(status: StatusReport) -> RunningNode:
    engine = status.engine
    return RunningNode(
        link_state=status.link.state,
        link_reason=status.link.reason or status.link.last_error,
        engine_state=None if engine is None else engine.state,
        engine_reason=None if engine is None else engine.reason,
        is_serving=status.is_serving,
        standing="serves" if status.is_serving else None,
        accelerators=sum(1 for device in status.devices if device.kind != "cpu"),
        complaints=tuple(
            Complaint(warning.name, warning.text, warning.mend) for warning in status.warnings
        ),
    )


def _look(node: _Node | None, patient: Patient) -> Report:
    """What the node itself finds, with its account's rights and variables, else what we find.

    Beside the former is whether that account sees the devices that this user sees.
    """
    from byoi_agent.doctor.hardware import account  # noqa: PLC0415 `--help` shall not wait for it
    from byoi_agent.doctor.round import examine  # noqa: PLC0415

    if node is not None:
        try:
            found = node.client.doctor()
        except AgentError as error:
            click.echo(f"byoi: {error}; this is how it looks from here", err=True)
        else:
            reading = asyncio.run(_devices(patient))
            return Report(checks=(*found.checks, *account(patient, reading)))
    return asyncio.run(examine(patient))


async def _devices(patient: Patient) -> ProbeReading:
    return await patient.probe.read()


def _mended(report: Report, node: _Node | None, patient: Patient) -> Report:
    """The same after all was mended that can be without asking."""
    from byoi_agent.doctor.mending import mend  # noqa: PLC0415 as above

    if not any(finding.can_fix for finding in report.checks):
        return report
    if node is None:
        return asyncio.run(mend(patient))
    try:
        found = node.client.mend()  # it holds the folders' lock, and may be of another account
    except AgentError as error:
        click.echo(f"byoi: {error}; nothing was mended", err=True)
        return report
    of_users = tuple(finding for finding in report.checks if finding.name == "account")
    return Report(checks=(*found.checks, *of_users))


def _bundle(patient: Patient, report: Report, node: _Node | None, output: Path | None) -> Path:
    from byoi_agent.config.files import check_can_be_made, rewrite  # noqa: PLC0415
    from byoi_agent.doctor.bundle import bundle  # noqa: PLC0415 as above

    now = datetime.now().astimezone()
    lines = None if node is None else _lines_of(node)
    place = (output or Path(f"byoi-doctor-{now:%Y%m%d-%H%M%S}.tar.gz")).absolute()
    check_can_be_made("--output", place)
    status = None if node is None else node.status.model_dump(mode="json")
    log = node.status.log.file if node is not None and node.status.log is not None else None
    file = Path(log or patient.paths.log_file)
    settings = None if node is None else _settings_of(node)
    content = asyncio.run(bundle(patient, report, status, file, lines, settings))
    rewrite(place, content)
    return place


def _lines_of(node: _Node) -> list[str] | None:
    """The log's end as the node has it in memory, where this user cannot read a file of it."""
    log = node.status.log
    if log is not None and log.file is not None and os.access(log.file, os.R_OK):
        return None
    try:
        return [line.model_dump_json() for line in node.client.logs(2000, "debug").lines]
    except AgentError:
        return None


def _settings_of(node: _Node) -> dict[str, object] | None:
    """Those that it has now; this user's own stand in the archive where it does not tell them."""
    try:
        told = node.client.config().settings
    except AgentError as error:
        click.echo(f"byoi: {error}; the archive has this user's settings instead", err=True)
        return None
    return {one.name: one.holds if one.is_pending else one.value for one in told}


def _show(report: Report) -> None:
    from rich.console import Console  # noqa: PLC0415 programs ask for JSON and never pay for it
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=None, show_header=False, padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in report.checks:
        colour = _COLOURS[finding.state]
        mark = f"[{colour}]{_MARKS[finding.state]}[/]"
        table.add_row(mark, finding.title, _escaped(finding.text))
        if finding.mend:
            table.add_row("", "", f"[bold]→[/] {_escaped(finding.mend)}")
    console = Console(file=sys.stdout, highlight=False, width=width_of(sys.stdout))
    console.print(table)
    console.print(_summary(report))


def _escaped(text: str) -> str:
    from rich.markup import escape  # noqa: PLC0415 as above

    return escape(text)


def _summary(report: Report) -> str:
    states = [finding.state for finding in report.checks]
    wrong, warnings = states.count("fail"), states.count("warn")
    fixable = sum(1 for finding in report.checks if finding.can_fix)
    if not wrong and not warnings:
        return "\nNothing is wrong."
    told = f"\n{wrong} to be mended, {warnings} to be looked at."
    return f"{told} {fixable} of them: byoi doctor --fix" if fixable else told
