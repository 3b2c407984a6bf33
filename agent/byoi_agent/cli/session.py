"""`byoi session`: what tells a node that runs as a service whether its owner is there."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import click

from byoi_agent.availability.sensors.choice import (
    machine_sensors,
    session_sensors,
    this_user,
)
from byoi_agent.availability.sessions import merged
from byoi_agent.availability.surroundings import together
from byoi_agent.cli.options import choose_to_ask, debug_option, json_option, setting_options
from byoi_agent.cli.status import ask, find_running
from byoi_agent.cli.status_view import duration
from byoi_agent.config.files import make_private_folder
from byoi_agent.config.lock import StateInUse, StateLock
from byoi_agent.config.paths import runtime_root
from byoi_agent.control.session_reports import SessionHelper
from byoi_agent.errors import ConfigError
from byoi_agent.telemetry.logs import configure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from byoi_agent.availability.readings import MachineReading, SessionReading
    from byoi_agent.cli.options import Chosen
    from byoi_agent.control.presence import SessionReport

_NAMES_OF_SESSIONS: Final = ("XDG_SESSION_ID", "WAYLAND_DISPLAY", "DISPLAY", "SESSIONNAME")


@click.command(
    epilog="""\b
Examples:
  byoi session                  what a user unit runs, for as long as the session lasts
  byoi session --once           what can be seen of this session now, and what cannot
  byoi session --once --json
"""
)
@click.option("--once", is_flag=True, help="Show what is seen now, and tell no node.")
@setting_options("data_dir")
@json_option
@debug_option
def session(*, once: bool, as_json: bool, **flags: object) -> None:
    """Tell the node of this machine, again and again, whether somebody is at this session.

    For a node that runs as a service, which cannot see a person's desktop. It starts before the
    node or after it, and ends with the session. Nothing of what is typed or shown is read: only
    how long nothing was touched, whether the screen is locked, and which program covers it.
    """
    if once:
        asyncio.run(_show(as_json=as_json))
        return
    if as_json:
        raise click.UsageError("--json is for --once")
    chosen = choose_to_ask(flags)
    name = name_of_session(os.environ)
    check_is_session(os.environ)
    configure(chosen.settings.log_format, chosen.settings.log_level)
    folder = runtime_root(os.environ)
    make_private_folder(folder)
    try:
        with StateLock(folder / f"session-{name}.lock"):
            asyncio.run(_report(chosen, name))
    except StateInUse as error:
        raise StateInUse("a helper of this session runs already") from error


def name_of_session(environment: Mapping[str, str]) -> str:
    """What tells this session from others of the same user, fit for a file's name."""
    found = next((environment[one] for one in _NAMES_OF_SESSIONS if environment.get(one)), "only")
    return re.sub(r"[^A-Za-z0-9]+", "-", found).strip("-")[:40] or "only"


def check_is_session(environment: Mapping[str, str]) -> None:
    """See that there is a desktop to look at.

    Raises:
        ConfigError: there is none.
    """
    if not session_sensors(environment, is_helper=True):
        raise ConfigError(
            "this is no desktop session: neither DISPLAY nor WAYLAND_DISPLAY nor a message bus is "
            "set; start byoi session from within one, as a user unit does"
        )


async def _report(chosen: Chosen, name: str) -> None:
    def send(report: SessionReport) -> None:
        found = find_running(chosen, is_told=False)
        ask(found, lambda client: client.tell_of_session(report))

    sensors = session_sensors(os.environ, is_helper=True)
    helper = SessionHelper(sensors, this_user(), name, send)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with suppress(NotImplementedError):  # Windows ends it otherwise
            loop.add_signal_handler(number, helper.stop.set)
    await helper.run()


async def _show(*, as_json: bool) -> None:
    looked = [*await _looked(session_sensors(os.environ))]
    around = [*await _looked(machine_sensors(os.environ))]
    people = _people([said for _, said, _ in looked])
    machine = together([said for _, said, _ in around if said is not None])
    sources = [
        {"name": name, "answers": said is not None, "trouble": trouble}
        for name, said, trouble in (*looked, *around)
    ]
    if as_json:
        shown = [asdict(person) for person in people]
        click.echo(json.dumps({"sessions": shown, "machine": asdict(machine), "sources": sources}))
        return
    for line in (*_told(people, machine), *_sources(sources)):
        click.echo(line)


async def _looked(sensors: Sequence[Any]) -> list[tuple[str, Any, str | None]]:
    async def look(sensor: Any) -> tuple[str, Any, str | None]:  # noqa: ANN401 of two kinds
        try:
            return sensor.name, await sensor.read(), sensor.trouble
        finally:
            await sensor.close()

    async with asyncio.TaskGroup() as tasks:
        looks = [tasks.create_task(look(sensor)) for sensor in sensors]
    return [one.result() for one in looks]


def _people(
    said: Sequence[tuple[SessionReading, ...] | None],
) -> list[SessionReading]:
    by_user: dict[str, list[SessionReading]] = {}
    for reading in (reading for readings in said for reading in readings or ()):
        by_user.setdefault(reading.user, []).append(reading)
    return [merged(readings) for readings in by_user.values()]


def _told(people: Sequence[SessionReading], machine: MachineReading) -> list[str]:
    lines = [_person(person) for person in people] or ["Nobody is at this machine's screens."]
    if machine.on_battery is not None:
        lines.append("Runs on battery." if machine.on_battery else "Has mains.")
    if machine.is_metered is not None:
        lines.append("The network is metered." if machine.is_metered else "No metered network.")
    return lines


def _person(person: SessionReading) -> str:
    if person.idle_seconds is None:
        idle = "nobody can tell since when nothing was touched"
    else:
        idle = f"nothing touched for {duration(person.idle_seconds)}"
    locked = {True: ", locked", False: "", None: ""}[person.is_locked]
    screen = f", {person.fullscreen} covers a screen" if person.fullscreen else ""
    return f"{person.user}: {idle}{locked}{screen}"


def _sources(sources: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = []
    for one in sources:
        state = "answers" if one["answers"] else one["trouble"] or "does not answer"
        lines.append(f"  {one['name']:<16} {state}")
    return lines
