"""`byoi status`: how the node is, and what needs its owner."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, TypeVar

import click

from byoi_agent.cli.options import (
    choose,
    debug_option,
    json_option,
    setting_options,
    width_of,
)
from byoi_agent.control.client import ControlClient, NodeUnreachable
from byoi_agent.control.instances import find
from byoi_agent.identity.record import read_record

if TYPE_CHECKING:
    from collections.abc import Callable

    from byoi_agent.cli.options import Chosen
    from byoi_agent.control.instances import Instances
    from byoi_agent.control.schema import StatusReport

_GIB = 1024**3
_Answer = TypeVar("_Answer")


@click.command()
@setting_options("data_dir")
@click.option("--what-is-sent", is_flag=True, help="Show exactly what the console is told.")
@json_option
@debug_option
def status(*, what_is_sent: bool, as_json: bool, **flags: object) -> None:
    """Show whether the node serves, what it serves with, and what is wrong.

    Asks the running node of --data-dir, else this machine's own, else a running demo's.
    """
    chosen = choose(flags)
    found = find_running(chosen)
    if what_is_sent:
        offers = [offer.model_dump(mode="json") for offer in ask(found, ControlClient.offer)]
        click.echo(json.dumps(offers[0] if len(offers) == 1 else offers, indent=2))
        return
    reports = ask(found, ControlClient.status)
    if as_json:
        shown = [report.model_dump(mode="json") for report in reports]
        click.echo(json.dumps(shown[0] if len(shown) == 1 else {"nodes": shown}))
        return
    for report in reports:
        show(report)


def find_running(chosen: Chosen) -> Instances:
    """The running nodes that are meant; says on standard error when that is a demo.

    Raises:
        NodeUnreachable: none runs; the message says what to type.
    """
    found = find(chosen.paths, os.environ, is_named=chosen.is_data_dir_named)
    if not found.nodes:
        record = read_record(chosen.paths.identity_file)
        if record is None:
            raise NodeUnreachable(
                "no node runs here, and this machine is not enrolled; "
                "try: byoi demo, or: byoi enroll --console URL"
            )
        raise NodeUnreachable(f"{record.node_id} does not run; start it: byoi run")
    if found.found_by == "demo":
        count = len(found.nodes)
        words = "the node of the running demo" if count == 1 else f"{count} nodes of the demo"
        click.echo(f"byoi: asking {words}", err=True)
    return found


def ask(found: Instances, question: Callable[[ControlClient], _Answer]) -> list[_Answer]:
    """Every node's answer; of several, one that does not answer is told and passed over.

    Raises:
        NodeUnreachable: none answers.
    """
    answers: list[_Answer] = []
    for node in found.nodes:
        try:
            answers.append(question(node.client))
        except NodeUnreachable as silence:
            if len(found.nodes) == 1:
                raise
            click.echo(f"byoi: {silence}", err=True)
    if not answers:
        raise NodeUnreachable("no node of the demo answers")
    return answers


def show(report: StatusReport) -> None:
    """One node, for people."""
    from rich.console import Console  # noqa: PLC0415 programs ask for JSON and never pay for it
    from rich.table import Table  # noqa: PLC0415

    console = Console(file=sys.stdout, highlight=False, width=width_of(sys.stdout))
    grid = Table.grid(padding=(0, 2))
    for name, text in _lines(report):
        grid.add_row(f"[dim]{name}[/dim]", text)
    console.print(grid)
    for warning in report.warnings:
        console.print(f"[yellow]warning[/yellow]  {warning.text}\n         {warning.mend}")


def _lines(report: StatusReport) -> list[tuple[str, str]]:
    state = "draining" if report.is_draining else "serving" if report.is_serving else "not serving"
    lines = [
        ("node", f"{report.node_id}  {state}  (pid {report.pid})"),
        ("console", f"{report.link.console_url}  {_with(report.link.state, report.link.reason)}"),
    ]
    if (engine := report.engine) is not None:
        name = f"{engine.kind} {engine.version or ''}".strip()
        lines.append(("engine", f"{name}  {_with(engine.state, engine.reason)}"))
        lines.append(("models", ", ".join(engine.models) or "none"))
    lines.append(
        ("requests", f"{report.running} running, {report.waiting} waiting, {report.slots} slots")
    )
    lines.append(("usage", f"{report.unacknowledged_records} records not yet booked"))
    for device in report.devices:
        total = (device.memory_total_bytes or 0) / _GIB
        used = (device.memory_used_bytes or 0) / _GIB
        lines.append((f"device {device.index}", f"{device.name}  {used:.1f} of {total:.1f} GiB"))
    lines.append(("key", f"in the {report.key_store} store"))
    return lines


def _with(state: str, reason: str | None) -> str:
    return f"{state} ({reason})" if reason else state
