"""What is measured: an engine that runs somewhere, or one started for as long as it takes."""

from __future__ import annotations

import asyncio
import ipaddress
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from byoi_agent.engine.client import EngineClient
from byoi_agent.engine.kinds import probes
from byoi_agent.engine.kinds.attached import Attached
from byoi_agent.engine.leftovers import clear_leftovers
from byoi_agent.engine.supervisor import EngineSupervisor
from byoi_agent.errors import EngineError
from byoi_agent.node.advertise import engine_name

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from byoi_agent.clock import Clock
    from byoi_agent.engine.address import EngineAddress
    from byoi_agent.engine.kinds.base import EngineKind
    from byoi_agent.engine.view import EngineView, ServedModel
    from byoi_agent.models.wheels import Progress
    from byoi_wire.ids import ModelId

_HOPELESS: Final = frozenset({"failed", "stopped"})
_ASK_SECONDS: Final = 10.0


@dataclass(frozen=True)
class Target:
    """One model of one engine.

    `engine` names it with its version, None where that is not known; `engine_id` is what it calls
    the model. `slots` are the requests that it runs at once, None where that is not known.
    `client` is that of an engine of our own: bytes that come by it tell that it is alive. `pid` is
    the engine's process; one that `is_on_host` computes in the machine's memory, on no card.
    """

    model: ModelId
    engine_id: str
    address: EngineAddress
    words: str
    engine: str | None = None
    slots: int | None = None
    context_tokens: int | None = None
    client: EngineClient | None = None
    pid: int | None = None
    is_on_host: bool = False

    @property
    def is_local(self) -> bool:
        """Whether it runs on this machine, so that this machine's energy is its own."""
        if self.address.socket_path is not None or self.address.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.address.host).is_loopback
        except ValueError:
            return False


async def server_target(address: EngineAddress, model: ModelId | None) -> Target:
    """An OpenAI-compatible server of somebody's; without `model` the first that can chat.

    Raises:
        EngineError: it does not answer, or not with that model.
    """
    kind, client = Attached(address, model=model), EngineClient(address)
    try:
        served = await kind.discover(client)
    except EngineError as error:
        raise EngineError(f"{address.url} cannot be measured: {error}") from error
    finally:
        await client.close()
    chosen = served[0]
    return Target(
        model=chosen.id,
        engine_id=chosen.engine_id,
        address=address,
        words=f"the server at {address.url}",
        engine=engine_name("attached", kind.version),
        context_tokens=chosen.context_tokens,
    )


async def id_at(address: EngineAddress, model: ModelId) -> str:
    """What a node's engine calls a model: the node tells only its own name of it.

    Raises:
        EngineError: it does not answer.
    """
    client = EngineClient(address)
    try:
        async with asyncio.timeout(_ASK_SECONDS):
            names = [entry["id"] for entry in await probes.listed_models(client)]
    except TimeoutError as error:
        raise EngineError(f"{address.url} does not answer") from error
    finally:
        await client.close()
    return model if model in names or len(names) != 1 else names[0]


@asynccontextmanager
async def own_engine(
    kind: EngineKind,
    records: Path,
    clock: Clock,
    *,
    tell: Callable[[str], None],
    report: Callable[[Progress], None],
) -> AsyncIterator[Target]:
    """An engine of our own, ready; nothing of it runs when this is left.

    `records` is the folder of what killed agents may have left; the caller holds the lock of the
    state folder around it.

    Raises:
        EngineError: only its owner can mend what keeps it from serving.
    """
    await clear_leftovers(records)
    changed = asyncio.Event()
    supervisor = EngineSupervisor(
        kind, publish=lambda _view: changed.set(), clock=clock, records=records, report=report
    )
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(supervisor.run(), name="engine")
        try:
            view = await _until_ready(supervisor, changed, tell)
            yield _target_of(supervisor, view, view.models[0])
        finally:
            running.cancel()


def _target_of(supervisor: EngineSupervisor, view: EngineView, model: ServedModel) -> Target:
    return Target(
        model=model.id,
        engine_id=model.engine_id,
        address=supervisor.kind.address,
        client=supervisor.client,
        words="an engine of its own",
        engine=engine_name(view.kind, view.version),
        slots=view.slots,
        context_tokens=model.context_tokens,
        pid=view.pid,
        is_on_host=view.kind != Attached.name and not supervisor.kind.uses_gpus,
    )


async def _until_ready(
    supervisor: EngineSupervisor, changed: asyncio.Event, tell: Callable[[str], None]
) -> EngineView:
    told: str | None = None
    is_begun = False
    while (view := supervisor.view).state != "ready" or not view.models:
        is_begun = is_begun or view.state not in _HOPELESS
        if is_begun and view.state in _HOPELESS:
            raise EngineError(f"the engine cannot be used: {view.reason}")
        if view.reason is not None and view.reason != told:
            tell(f"the engine waits: {view.reason}")
            told = view.reason
        changed.clear()
        await changed.wait()  # an engine that starts has its own time-out
    return view
