"""One run of `byoi bench`, from finding the engine to keeping what was found."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import click

from byoi_agent.bench.asker import EngineAsker
from byoi_agent.bench.devices import ItsDevices
from byoi_agent.bench.parameters import active_parameters
from byoi_agent.bench.report import BenchReport, finished, measured_of
from byoi_agent.bench.supervisor import Bench, Wish
from byoi_agent.engine.client import EngineClient
from byoi_agent.errors import AgentError
from byoi_agent.hardware.probers import machine_probe

if TYPE_CHECKING:
    from byoi_agent.bench.policy import Plan
    from byoi_agent.bench.target import Target
    from byoi_agent.cli.bench_target import Found, Place

_SEED_BITS: Final = 62


class Measuring:
    """Sole owner of one run; its report can be asked for at any time, also after Ctrl-C."""

    def __init__(
        self,
        place: Place,
        plan: Plan,
        prompt_tokens: int,
        output_tokens: int,
        seconds: float,
        *,
        keeps: bool,
    ) -> None:
        self._place = place
        self._plan = plan
        self._prompt_tokens = prompt_tokens
        self._output_tokens = output_tokens
        self._seconds = seconds
        self._keeps = keeps
        self._at_ms = round(place.clock.wall() * 1000)
        self._found: Found | None = None
        self._bench: Bench | None = None
        self._is_whole = False
        self._is_kept = False
        self._active_parameters: int | None = None
        self._fate: tuple[str, ...] = ()

    async def all(self) -> None:
        """Find or start the engine, measure it, keep what was found.

        Raises:
            AgentError: nothing could be measured; the message says why.
        """
        async with self._place.found(_say) as found:
            self._found = found
            target = found.target
            _say(f"{target.model} on {target.engine or 'an unknown engine'}: {target.words}")
            if target.is_local:
                chosen = self._place.chosen
                self._active_parameters = await asyncio.to_thread(
                    active_parameters, chosen.settings, chosen.paths, target.model
                )
            if target.client is not None:
                await self._measure(target, target.client)
            else:
                async with asyncio.TaskGroup() as tasks:
                    client = EngineClient(target.address)
                    connections = tasks.create_task(client.run(), name="engine client")
                    await self._measure(target, client)
                    connections.cancel()
            self._is_whole = True
            await asyncio.to_thread(self._keep, found)

    async def _measure(self, target: Target, client: EngineClient) -> None:
        self._bench = self._bench_of(target, client)
        await self._bench.run()

    def report(self) -> BenchReport | None:
        """What is known by now; None where no engine was found."""
        if self._found is None or self._bench is None:
            return None
        target, bench = self._found.target, self._bench
        draft = BenchReport(
            model=target.model,
            engine=target.engine,
            at_ms=self._at_ms,
            slots=target.slots,
            context_tokens=target.context_tokens,
            prompt_tokens=bench.prompt_tokens,
            output_tokens=bench.output_tokens,
            seconds_per_level=self._seconds,
            active_parameters=self._active_parameters,
            is_kept=self._is_kept,
            notes=self._found.notes,
        )
        return finished(
            draft,
            bench.levels.values(),
            bench.prefill,
            is_whole=self._is_whole,
            notes=(*bench.notes, *self._fate),
        )

    def _bench_of(self, target: Target, client: EngineClient) -> Bench:
        wish = Wish(
            engine_id=target.engine_id,
            plan=replace(self._plan, slots=target.slots),
            prompt_tokens=self._prompt_tokens,
            output_tokens=self._output_tokens,
            seconds=self._seconds,
            seed=secrets.randbits(_SEED_BITS),
            context_tokens=target.context_tokens,
        )
        probe = None
        if target.is_local:
            probe = ItsDevices(machine_probe(), target.pid, is_on_host=target.is_on_host)
        return Bench(
            wish, EngineAsker(client, target.slots), self._place.clock, probe=probe, tell=_say
        )

    def _keep(self, found: Found) -> None:
        report = self.report()
        measured = None if report is None else measured_of(report)
        if not self._keeps or found.keep is None or measured is None:
            return
        try:
            found.keep(measured)
        except AgentError as error:  # the figures are worth telling all the same
            self._fate = (f"not kept: {error}",)
        else:
            self._is_kept = True


def _say(words: str) -> None:
    click.echo(f"byoi: {words}", err=True)
