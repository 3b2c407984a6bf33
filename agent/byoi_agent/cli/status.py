"""`byoi status`: how the node is, and what needs its owner."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, TypeVar

import click

from byoi_agent.cli.healthy import health
from byoi_agent.cli.options import (
    choose_to_ask,
    debug_option,
    json_option,
    setting_options,
    width_of,
)
from byoi_agent.cli.watch import watch
from byoi_agent.control.client import ControlClient, NodeUnreachable
from byoi_agent.control.instances import find
from byoi_agent.identity.record import read_record

if TYPE_CHECKING:
    from collections.abc import Callable

    from byoi_agent.cli.options import Chosen
    from byoi_agent.control.instances import Instances
    from byoi_agent.control.schema import StatusReport

_Answer = TypeVar("_Answer")


@click.command()
@setting_options("data_dir")
@click.option("-w", "--watch", "is_watching", is_flag=True, help="Go on until Ctrl-C.")
@click.option("--what-is-sent", is_flag=True, help="Show exactly what the console is told.")
@click.option(
    "--healthy",
    "is_health_meant",
    is_flag=True,
    help="Say by the exit code whether its process answers, or waits to be enrolled.",
)
@json_option
@debug_option
def status(
    *,
    is_watching: bool,
    what_is_sent: bool,
    is_health_meant: bool,
    as_json: bool,
    **flags: object,
) -> None:
    """Show whether the node serves, what it serves with, and what is wrong.

    Asks the running node of --data-dir, else this machine's own, else a running demo's. With
    --watch and --json: one line for each change.
    """
    chosen = choose_to_ask(flags)
    if is_health_meant:
        if as_json or is_watching or what_is_sent:
            raise click.UsageError("--healthy answers by its exit code alone; give it by itself")
        click.echo(health(chosen))
        return
    if is_watching:
        watch(
            lambda: ask(find_running(chosen, is_told=False), ControlClient.status), as_json=as_json
        )
        return
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


def find_running(chosen: Chosen, *, is_told: bool = True) -> Instances:
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
    if is_told and found.found_by == "demo":
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

    from byoi_agent.cli.status_view import status_view  # noqa: PLC0415

    console = Console(file=sys.stdout, highlight=False, width=width_of(sys.stdout))
    console.print(status_view(report))
