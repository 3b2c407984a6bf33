"""`byoi prove`: whether the account that is to serve sees the accelerators, and can answer."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import click

from byoi_agent.cli.bench_target import Place
from byoi_agent.cli.main import EXIT_UNAVAILABLE
from byoi_agent.cli.options import choose, debug_option, json_option, setting_options
from byoi_agent.clock import SystemClock
from byoi_agent.control.client import NodeUnreachable
from byoi_agent.control.instances import find
from byoi_agent.doctor.patient import Patient, RunningNode
from byoi_agent.doctor.proof import Answered, Unanswered, compared
from byoi_agent.doctor.proof import prove as proof_of
from byoi_agent.engine.address import EngineAddress
from byoi_agent.engine.client import EngineClient
from byoi_agent.engine.kinds import probes
from byoi_agent.errors import AgentError, EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from byoi_agent.cli.options import Chosen
    from byoi_agent.config.settings import Settings, Source
    from byoi_agent.control.client import ControlClient
    from byoi_agent.doctor.proof import Proof
    from byoi_agent.hardware.devices import ProbeReading

_LOOK_SECONDS: Final = 0.5
_SERVER_SECONDS: Final = 5.0
_WAIT_SECONDS: Final = 120.0


@click.command(
    epilog="""\b
Examples:
  byoi prove
  sudo byoi prove                 # of the system's service
  byoi prove --wait 600 --json

Of a running node the node itself shows it, with its own account's rights; where none runs, its
engine is started for one token. Exit code 69 where something is missing, with the sentence that
says what.
"""
)
@setting_options("engine", "model", "data_dir")
@click.option(
    "--wait",
    "wait_seconds",
    type=click.FloatRange(min=0),
    default=_WAIT_SECONDS,
    show_default=True,
    help="How many seconds an engine that is on its way gets.",
)
@json_option
@debug_option
def prove(*, wait_seconds: float, as_json: bool, **flags: object) -> int:
    """Show that this machine can serve: the accelerators are seen, and one token is computed."""
    chosen = choose(flags)
    proof = _of_node(chosen, wait_seconds) or asyncio.run(_of_our_own(chosen, flags, wait_seconds))
    click.echo(proof.model_dump_json() if as_json else proof.sentence)
    return 0 if proof.is_proven else EXIT_UNAVAILABLE


def _of_node(chosen: Chosen, wait_seconds: float) -> Proof | None:
    """What the running node shows of itself; None where none runs."""
    found = find(chosen.paths, os.environ, is_named=chosen.is_data_dir_named)
    if found.found_by == "demo" or not found.nodes:
        return None
    client = found.nodes[0].client
    try:
        proof = _until_settled(client, wait_seconds)
        seen = sum(1 for device in client.status().devices if device.kind != "cpu")
    except NodeUnreachable as silence:
        click.echo(f"byoi: {silence}; asking here instead", err=True)
        return None
    patient = _patient(chosen, RunningNode(link_state="online", accelerators=seen))
    return compared(proof, patient, asyncio.run(_reading(patient)))


def _until_settled(client: ControlClient, wait_seconds: float) -> Proof:
    until = time.monotonic() + wait_seconds
    proof = client.prove()
    while proof.is_pending and time.monotonic() < until:
        time.sleep(_LOOK_SECONDS)
        proof = client.prove()
    return proof


async def _of_our_own(chosen: Chosen, flags: dict[str, object], wait_seconds: float) -> Proof:
    patient = _patient(chosen, None)
    told: list[str] = []

    def tell(text: str) -> None:
        told.append(text)
        click.echo(f"byoi: {text}", err=True)

    async def ask() -> Answered | Unanswered:
        try:
            async with asyncio.timeout(wait_seconds):
                return await _one_token(chosen, flags, tell)
        except TimeoutError:
            if (silent := await _silent_server(chosen.settings)) is not None:
                return silent
            last = f": {told[-1]}" if told else ""
            return Unanswered(
                f"no engine was ready within {wait_seconds:g} s{last}", "byoi doctor looks closer"
            )
        except AgentError as error:
            return Unanswered(str(error))
        except ExceptionGroup as group:  # an engine ends in a group of tasks
            ours, others = group.split(AgentError)
            if ours is None or others is not None:
                raise
            return Unanswered("; ".join(dict.fromkeys(_words(ours))))

    return await proof_of(patient, ask)


async def _silent_server(settings: Settings) -> Unanswered | None:
    """What an attached server says instead of being ready; None of an engine of our own."""
    url = settings.engine
    if settings.models or not url.startswith(("http://", "https://", "unix:")):
        return None
    client = EngineClient(EngineAddress.parse(url, settings.engine_api_key))
    try:
        async with asyncio.timeout(_SERVER_SECONDS):
            names = [entry["id"] for entry in await probes.listed_models(client)]
    except TimeoutError:
        told = f"the server {url} does not answer"
    except EngineError as error:
        told = f"the server {url} is not to be had: {error}"
    else:
        told = f"the server {url} answers, and offers {', '.join(names) or 'no model'}"
    finally:
        await client.close()
    return Unanswered(
        told, "start it, or name what is there: byoi config set engine URL (and model NAME)"
    )


async def _one_token(
    chosen: Chosen, flags: dict[str, object], tell: Callable[[str], None]
) -> Answered:
    """From an engine of our own, that ends with this."""
    clock = SystemClock()
    # A demo that runs is somebody's play, and neither this machine's engine nor its settings.
    alone = chosen._replace(loaded=replace(chosen.loaded, sources=_named(chosen)))
    async with Place(alone, flags, clock=clock).found(tell) as found:
        target = found.target
        client = target.client or EngineClient(target.address)
        begun = clock.monotonic()
        try:
            await probes.one_token(client, target.engine_id)
        finally:
            if target.client is None:
                await client.close()
        return Answered(target.model, target.engine or "engine", clock.monotonic() - begun)


def _named(chosen: Chosen) -> dict[str, Source]:
    return {**chosen.loaded.sources, "data_dir": "flag"}


def _patient(chosen: Chosen, node: RunningNode | None) -> Patient:
    return Patient(settings=chosen.settings, paths=chosen.paths, environment=os.environ, node=node)


async def _reading(patient: Patient) -> ProbeReading:
    return await patient.probe.read()


def _words(group: BaseExceptionGroup[BaseException]) -> Iterator[str]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _words(error)
        else:
            yield str(error)
