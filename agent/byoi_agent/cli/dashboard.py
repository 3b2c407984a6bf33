"""`byoi dashboard`: open the node's own pages in a browser, by a link that works once."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from byoi_agent.cli.approval import browser_for
from byoi_agent.cli.options import choose_to_ask, debug_option, json_option, setting_options
from byoi_agent.cli.status import ask, find_running
from byoi_agent.control.client import ControlClient

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from byoi_agent.control.schema import DashboardLink, SignedOut


@click.command(
    epilog="""\b
Examples:
  byoi dashboard
  byoi dashboard --no-browser
  byoi dashboard --sign-out
  byoi dashboard --json
"""
)
@click.option("--no-browser", is_flag=True, help="Only show the link.")
@click.option("--sign-out", "shall_end", is_flag=True, help="Let no browser in any more.")
@setting_options("data_dir")
@json_option
@debug_option
def dashboard(*, no_browser: bool, shall_end: bool, as_json: bool, **flags: object) -> None:
    """Open the node's pages: the switch, what it does now, schedule, models and log.

    The link works once and within a minute; the browser stays let in after it, for a week at most
    and also when the node is started anew, until it signs out there or --sign-out is given. Asks
    the running node of --data-dir, else this machine's own, else a running demo's;
    BYOI_CONTROL_URL names another. For programs (--json) no browser is opened.
    """
    found = find_running(choose_to_ask(flags))
    if shall_end:
        _tell_ended(ask(found, ControlClient.sign_out_browsers), as_json=as_json)
        return
    links = ask(found, ControlClient.open_dashboard)
    if as_json:
        _tell(links)
        return
    browse = browser_for(os.environ, is_wanted=not no_browser)
    for link in links:
        _show(link, browse)


def _tell(answers: Sequence[DashboardLink | SignedOut]) -> None:
    """To a program."""
    shown = [answer.model_dump(mode="json") for answer in answers]
    click.echo(json.dumps(shown[0] if len(shown) == 1 else {"dashboards": shown}))


def _tell_ended(ended: list[SignedOut], *, as_json: bool) -> None:
    if as_json:
        _tell(ended)
        return
    count = sum(answer.browsers for answer in ended)
    known = {0: "No browser was let in", 1: "One browser was let in, and is no more"}
    told = known.get(count, f"{count} browsers were let in, and are no more")
    click.echo(f"{told}; for another link: byoi dashboard")


def _show(link: DashboardLink, browse: Callable[[str], bool]) -> None:
    if browse(link.url):
        click.echo("A browser has been opened here. If it shows nothing, run this again with:")
        click.echo("  byoi dashboard --no-browser")
        return
    port = urlsplit(link.url).port
    click.echo(f"Open this within {link.valid_seconds:.0f} s in a browser here; it works once:\n")
    click.echo(f"  {link.url}\n")
    click.echo(f"Is the browser elsewhere? First: ssh -L {port}:127.0.0.1:{port} THIS_MACHINE")
