"""`byoi engines sleep` and `wake`: the accelerator's memory back to its owner, and serving."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Final

import click

from byoi_agent.cli.options import choose_to_ask, debug_option, json_option, setting_options
from byoi_agent.cli.status import ask, find_running
from byoi_agent.errors import AgentError, EngineError

if TYPE_CHECKING:
    from byoi_agent.control.client import ControlClient
    from byoi_agent.control.instances import Instances
    from byoi_agent.control.schema import EngineStatus, StatusReport

_LOOK_SECONDS: Final = 0.2
_WAKE_SECONDS: Final = 3600.0
"""A large model may take minutes to load, and what it needs may first have to be fetched."""

_SETTLE_SECONDS: Final = 120.0
"""From the end of the last request to the memory's being free."""

_no_wait = click.option(
    "--no-wait", is_flag=True, help="Give the order and leave; `byoi status` tells what comes."
)


@click.command()
@click.argument("model", required=False)
@setting_options("data_dir")
@click.option(
    "--within",
    "within_seconds",
    type=click.FloatRange(0, 3600),
    default=30.0,
    show_default=True,
    help="Seconds that running requests get; 0 cuts them at once.",
)
@_no_wait
@json_option
@debug_option
def sleep(
    model: str | None, *, within_seconds: float, no_wait: bool, as_json: bool, **flags: object
) -> None:
    """Take the engine's memory back until `byoi engines wake`; of several, that of MODEL or of all.

    Requests are refused meanwhile, so that the console asks other nodes. An engine that cannot
    sleep is ended, and waking starts it.
    """
    found = find_running(choose_to_ask(flags))
    ask(found, lambda client: client.sleep(within_seconds, model))
    seconds = within_seconds + _SETTLE_SECONDS
    _tell([] if no_wait else _wait(found, model, "asleep", seconds), as_json=as_json)


@click.command()
@click.argument("model", required=False)
@setting_options("data_dir")
@_no_wait
@json_option
@debug_option
def wake(model: str | None, *, no_wait: bool, as_json: bool, **flags: object) -> None:
    """Have an engine that sleeps or was stopped serve again; of several, that of MODEL or all."""
    found = find_running(choose_to_ask(flags))
    ask(found, lambda client: client.wake(model))
    _tell([] if no_wait else _wait(found, model, "ready", _WAKE_SECONDS), as_json=as_json)


def _wait(found: Instances, model: str | None, wanted: str, seconds: float) -> list[EngineStatus]:
    return ask(found, lambda client: _reached(client, model, wanted, seconds))


def _tell(engines: list[EngineStatus], *, as_json: bool) -> None:
    if as_json:
        told = [engine.model_dump(mode="json") for engine in engines]
        click.echo(json.dumps({"engines": told}))
        return
    for engine in engines:
        name = f"{engine.kind} {engine.version or ''}".strip()
        serves = f", serves {', '.join(engine.models)}" if engine.models else ""
        click.echo(f"{name} is {engine.state}{serves}")


def _reached(client: ControlClient, model: str | None, wanted: str, seconds: float) -> EngineStatus:
    """The engine once it is as wanted; of several, all of them as one where none is named.

    Raises:
        EngineError: it cannot come to that, or not in time.
        AgentError: the node has no engine.
    """
    deadline = time.monotonic() + seconds
    while True:
        engine = _meant(client.status(), model)
        if engine is None:
            raise AgentError("the node has no engine yet; look again: byoi status")
        if engine.state == wanted:
            return engine
        if engine.state == "failed" or (engine.state == "stopped" and model is None):
            why = f": {engine.reason}" if engine.reason else ""
            raise EngineError(f"the engine is {engine.state}{why}; see: byoi status")
        if time.monotonic() >= deadline:
            raise EngineError(f"the engine is still {engine.state}; look again: byoi status")
        time.sleep(_LOOK_SECONDS)


def _meant(report: StatusReport, model: str | None) -> EngineStatus | None:
    if model is None:
        return report.engine
    named = (one for one in report.engines if model == one.key or model in one.models)
    return next(named, None)
