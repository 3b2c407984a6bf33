"""`byoi pins`: who wants this node for itself, and what its owner says to that."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from byoi_agent.cli.durations import moment
from byoi_agent.cli.options import (
    choose_to_ask,
    debug_option,
    json_option,
    setting_options,
    width_of,
)
from byoi_agent.cli.status import ask, find_running
from byoi_agent.control.client import ControlClient
from byoi_agent.errors import AgentError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from byoi_agent.control.pins import PinList, PinStatus


@click.group(
    invoke_without_command=True,
    epilog="Examples: byoi pins; byoi pins consent; byoi pins withdraw",
)
@setting_options("data_dir")
@json_option
@debug_option
@click.pass_context
def pins(context: click.Context, /, *, as_json: bool, **flags: object) -> None:
    """Show who wants this node for itself; say yes, no, or no more.

    A node that is dedicated to an organisation serves that one alone, and serves it always: also
    while you use the machine. Nobody gets it without your yes, and you may take that back at any
    time.
    """
    if context.invoked_subcommand is not None:
        return
    for held in ask(find_running(choose_to_ask(flags)), ControlClient.pins):
        if as_json:
            click.echo(held.model_dump_json())
        else:
            _table(held.pins)


def _answering(verb: str, states: frozenset[str], told: str, help_text: str) -> click.Command:
    @click.command(name=verb, help=help_text)
    @click.argument("pin", required=False)
    @setting_options("data_dir")
    @json_option
    @debug_option
    def answer(pin: str | None, *, as_json: bool, **flags: object) -> None:
        found = find_running(choose_to_ask(flags))

        def decide(client: ControlClient) -> tuple[PinStatus, PinList]:
            meant = _meant(client.pins().pins, pin, states)
            return meant, client.answer_pin(meant.id, verb)

        for meant, held in ask(found, decide):
            if as_json:
                click.echo(held.model_dump_json())
            else:
                click.echo(told.format(organisation=meant.organisation))

    return answer


def _meant(known: Sequence[PinStatus], pin: str | None, states: frozenset[str]) -> PinStatus:
    """The one that is named; where none is, the only one that can be meant."""
    if pin is not None:
        named = [one for one in known if pin in {one.id, one.organisation, one.org_id}]
        named = [one for one in named if one.state in states] or named
        if not named:
            raise AgentError(f"there is no pin {pin!r}; see: byoi pins")
        return named[-1]
    could = [one for one in known if one.state in states]
    if not could:
        raise AgentError("there is nothing to answer; see: byoi pins")
    if len(could) > 1:
        names = ", ".join(one.id for one in could)
        raise AgentError(f"more than one can be meant: {names}; name one")
    return could[0]


def _table(known: Sequence[PinStatus]) -> None:
    if not known:
        click.echo("Nobody has asked for this node.")
        return
    table = Table(box=None, pad_edge=False)
    for name in ("Pin", "Organisation", "State", "By", "When", "Why"):
        table.add_column(name, overflow="fold")
    for one in known:
        by, at_ms = (one.actor, one.at_ms) if one.at_ms else (one.asked_by, one.asked_at_ms)
        when = moment(at_ms / 1000, time.time())
        told = (one.id, one.organisation, one.state, by, when, one.reason)
        table.add_row(*map(Text, told))
    width = width_of(sys.stdout)
    Console(file=sys.stdout, highlight=False, markup=False, width=width).print(table)
    if any(one.state == "asked" for one in known):
        click.echo("Answer: byoi pins consent, or byoi pins refuse.")


_ASKED = frozenset({"asked"})
_HELD = frozenset({"granted"})
pins.add_command(
    _answering(
        "consent",
        _ASKED,
        "Dedicated to {organisation}. Take it back at any time: byoi pins withdraw",
        "Dedicate the node to the organisation that asks: it serves that one alone, always.",
    )
)
pins.add_command(
    _answering("refuse", _ASKED, "Refused {organisation}. Nothing changes.", "Say no to who asks.")
)
pins.add_command(
    _answering(
        "withdraw",
        _HELD,
        "Taken back from {organisation}, at once: the node serves as its mode says.",
        "Take a consent back; it holds at once, also without a link to the console.",
    )
)
