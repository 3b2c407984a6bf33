"""`byoi tray`: an icon on the desktop that shows the node's state and has its switch."""

from __future__ import annotations

import os
import queue
import time
from typing import TYPE_CHECKING, Final

import click

from byoi_agent.cli.approval import browser_for
from byoi_agent.cli.options import choose_to_ask, debug_option, setting_options
from byoi_agent.cli.tray_face import (
    Choose,
    OpenDashboard,
    Pause,
    Quit,
    Resume,
    face_of,
)
from byoi_agent.cli.tray_icon import TrayIcon
from byoi_agent.control.instances import find
from byoi_agent.errors import AgentError

if TYPE_CHECKING:
    import threading

    from byoi_agent.cli.options import Chosen
    from byoi_agent.cli.tray_face import Action
    from byoi_agent.control.client import ControlClient
    from byoi_agent.control.schema import StatusReport


LOOK_SECONDS: Final = 2.0
"""How old what the icon shows may be; a question over the socket costs the node a millisecond."""


@click.command(epilog="Examples: byoi tray; byoi tray &")
@setting_options("data_dir")
@debug_option
def tray(**flags: object) -> None:
    """Show the node's state as an icon on the desktop; its menu pauses, resumes and switches.

    The icon asks a running node as byoi status does, and waits where none runs. Quitting it leaves
    the node as it is. It needs the extra: pip install 'byoi-agent[tray]'
    """
    Tray(choose_to_ask(flags)).run()


class Tray:
    """Joins the icon with the node; asks in a thread of its own."""

    def __init__(self, chosen: Chosen) -> None:
        self._chosen = chosen
        self._orders: queue.SimpleQueue[Action] = queue.SimpleQueue()
        self._icon = TrayIcon("byoi", face_of(None, time.time()), self._orders.put)

    def run(self) -> None:
        """Until the person quits it."""
        self._icon.run(self._follow)

    def _follow(self, is_over: threading.Event) -> None:
        while not is_over.is_set():
            self._icon.show(face_of(self._status(), time.time()))
            try:
                order = self._orders.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                continue
            self._carry_out(order)

    def _status(self) -> StatusReport | None:
        node = self._node()
        try:
            return None if node is None else node.status()
        except AgentError:
            return None

    def _node(self) -> ControlClient | None:
        """Looked for each time: one that was started again listens elsewhere."""
        try:
            found = find(self._chosen.paths, os.environ, is_named=self._chosen.is_data_dir_named)
        except AgentError as error:
            click.echo(f"byoi: {error}", err=True)
            return None
        return found.nodes[0].client if found.nodes else None

    def _carry_out(self, order: Action) -> None:
        if isinstance(order, Quit):
            self._icon.stop()
            return
        node = self._node()
        try:
            if node is not None:
                _ask(node, order)
        except AgentError as error:
            click.echo(f"byoi: {error}", err=True)


def _ask(node: ControlClient, order: Action) -> None:
    match order:
        case Pause(seconds):
            node.pause(seconds)
        case Resume():
            node.resume()
        case Choose(mode):
            node.choose_mode(mode)
        case OpenDashboard():
            url = node.open_dashboard().url
            if not browser_for(os.environ, is_wanted=True)(url):
                click.echo(f"Open this in a browser here: {url}", err=True)
        case Quit():
            pass
