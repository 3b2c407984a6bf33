"""Whether the engine that the settings mean can run here, and what earlier ones have left."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from byoi_agent.doctor.finding import failed, ok, warned
from byoi_agent.engine.address import EngineAddress
from byoi_agent.engine.entries import entries_of
from byoi_agent.engine.kinds.choice import is_managed
from byoi_agent.engine.leftovers import abandoned
from byoi_agent.engine.runtimes import Runtimes
from byoi_agent.errors import AgentError, EngineError

if TYPE_CHECKING:
    from byoi_agent.doctor.finding import Finding
    from byoi_agent.doctor.patient import Patient

_NAME: Final = "engine"
_TITLE: Final = "Engine"
_CONNECT_SECONDS: Final = 5.0


class _Greeting(asyncio.Protocol):
    """A connection that is made and closed."""

    _transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


async def check(patient: Patient) -> list[Finding]:
    """Each engine, whether it is installed or there to be asked, and orphans of killed nodes."""
    return [*await _engines(patient), *await asyncio.to_thread(_orphans, patient)]


async def _engines(patient: Patient) -> list[Finding]:
    settings = patient.settings
    try:
        await asyncio.to_thread(entries_of, settings, patient.paths)
    except AgentError as error:
        mend = "byoi config check; what can be served: byoi models list, byoi engines list"
        return [failed(_NAME, _TITLE, str(error), mend)]
    chosen = {settings.engine, *(each.engine for each in settings.models if each.engine)}
    return [await _engine(patient, name) for name in sorted(chosen)]


async def _engine(patient: Patient, name: str) -> Finding:
    if not is_managed(name):
        return await _attached(name)
    kind = name.partition("@")[0]
    installed = await asyncio.to_thread(Runtimes(patient.paths.engines_folder).installed)
    here = [one for one in installed if one.name == kind]
    if here:
        return ok(_NAME, _TITLE, f"{kind} {', '.join(one.version for one in here)} is installed")
    if patient.settings.downloads == "never":
        mend = f"byoi engines install {name}, or allow downloads"
        return failed(_NAME, _TITLE, f"{name} is not installed, and downloads are off", mend)
    return ok(_NAME, _TITLE, f"{name} is fetched when the node first starts")


async def _attached(url: str) -> Finding:
    address = EngineAddress.parse(url)
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            connection = await address.connect(_Greeting)
    except (EngineError, OSError, TimeoutError) as error:
        reason = str(error) or "no answer in time"
        mend = 'start that server, or name another: engine = "llamacpp"'
        return failed(_NAME, _TITLE, f"{url} cannot be reached: {reason}", mend)
    connection.close()
    return ok(_NAME, _TITLE, f"{url} takes connections")


def _orphans(patient: Patient) -> list[Finding]:
    if left := abandoned(patient.paths.engine_runs_folder):
        text = f"{len(left)} processes of a node that was killed still run"
        mend = "byoi doctor --fix, or start the node, which ends them"
        return [warned("orphans", "Orphans", text, mend, can_fix=True)]
    return []
