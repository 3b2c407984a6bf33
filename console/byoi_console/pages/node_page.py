"""One node's page: all that is known of it, and what an administrator can have it do."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from byoi_console.errors import InputInvalid, NotFound
from byoi_console.ledger.usage import UsageFilter
from byoi_console.nodes.records import NodeChanges
from byoi_console.pages.guard import form_of, render, signed_in, text_of
from byoi_wire.ids import NodeId

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from starlette.requests import Request

    from byoi_console.nodes.records import KeyFacts, NodeRecord
    from byoi_console.pages.guard import SignedIn
    from byoi_console.pages.services import PageServices
    from byoi_console.routing.registry import LiveFacts

_SHOWN_REQUESTS: Final = 20
_NAME_LIMIT: Final = 200
_MONTH_MS: Final = 30 * 24 * 3600 * 1000
_GIB: Final = 1024**3


@dataclass(frozen=True)
class Action:
    """Something to ask before it is done: what it is called and what it leads to."""

    title: str
    meaning: str
    is_final: bool = False
    wants_reason: bool = False


ACTIONS: Final[dict[str, Action]] = {
    "drain": Action(
        "Drain",
        "It gets no new requests; those that it is answering end as they would. It stays so, "
        "over restarts as well, until you let it serve again.",
    ),
    "pin": Action(
        "Dedicate",
        "You ask the owner of the machine to serve your organisation alone, always. Nothing "
        "changes until the owner says yes there, which byoi pins does; the owner may take it back "
        "at any time, and so may you.",
        wants_reason=True,
    ),
    "rotate-key": Action(
        "Order a new key for",
        "The node makes itself a new key, signs it with the old one and comes back with it. "
        "Nothing is interrupted. If it is away now, it does so when it is back.",
    ),
    "revoke": Action(
        "Revoke",
        "Its keys prove nothing from now on, and its link ends within a second: what it is "
        "answering now is cut. To serve again the machine has to be enrolled anew.",
        is_final=True,
    ),
    "delete": Action(
        "Delete",
        "It is revoked and leaves the list. The ledger keeps what it has served, under its name.",
        is_final=True,
    ),
}
_DONE: Final = {
    "drain": "It is drained: no new requests go there.",
    "undrain": "It serves again.",
    "pin": "Its owner is asked, now or once it is back.",
    "unpin": "It is not dedicated to your organisation.",
    "rotate-key": "A new key is ordered.",
    "rename": "It has a new name.",
    "revoke": "It is revoked.",
}


class NodePage:
    """The routes; each needs somebody signed in, and a node of the organisation looked at."""

    def __init__(self, services: PageServices) -> None:
        self._services = services
        self._doing: dict[str, Callable[[NodeRecord, str, str], Awaitable[None]]] = {
            "pin": self._pin,
            "unpin": self._unpin,
            "drain": self._drain,
            "undrain": self._undrain,
            "rotate-key": self._rotate,
            "rename": self._rename,
            "revoke": self._revoke,
            "delete": self._delete,
        }

    @property
    def routes(self) -> list[Route]:
        """For Starlette."""
        return [
            Route("/nodes/{node_id}", self.show, methods=["GET"]),
            Route("/nodes/{node_id}/{action}", self.ask, methods=["GET"]),
            Route("/nodes/{node_id}/{action}", self.act, methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """The page."""
        who = await signed_in(request, self._services)
        record = await self._node(request, who)
        notice = _DONE.get(request.query_params.get("done", ""), "")
        return await self._shown(request, record, notice=notice)

    async def ask(self, request: Request) -> Response:
        """What an action leads to, before it is done."""
        who = await signed_in(request, self._services)
        record = await self._node(request, who)
        name = request.path_params["action"]
        if (action := ACTIONS.get(name)) is None:
            raise NotFound("There is no such page.")
        node = self._services.pictures.of(record)
        return render(request, "node_confirm.html", node=node, name=name, action=action)

    async def act(self, request: Request) -> Response:
        """Do it, and show the page again."""
        who = await signed_in(request, self._services)
        form = await form_of(request, who)
        record = await self._node(request, who)
        name = request.path_params["action"]
        if (do := self._doing.get(name)) is None:
            raise NotFound("There is no such page.")
        try:
            said = text_of(form, "reason") if name == "pin" else text_of(form, "name")
            await do(record, who.person_id, said)
        except InputInvalid as error:
            return await self._shown(request, record, problem=str(error))
        place = (
            "/nodes?done=deleted" if name == "delete" else f"/nodes/{record.node_id}?done={name}"
        )
        return RedirectResponse(place, 303)

    async def _node(self, request: Request, who: SignedIn) -> NodeRecord:
        record = await self._services.records.get(NodeId(request.path_params["node_id"]))
        if record is None or record.org_id != who.org_id:
            raise NotFound("There is no such node, or it was deleted.")
        return record

    async def _shown(
        self, request: Request, record: NodeRecord, *, notice: str = "", problem: str = ""
    ) -> Response:
        services = self._services
        await services.caught_up()
        wanted = UsageFilter(record.org_id, node_id=record.node_id)
        month = UsageFilter(
            record.org_id, from_ms=services.now_ms() - _MONTH_MS, node_id=record.node_id
        )
        rows, _ = await services.usage.requests(wanted, _SHOWN_REQUESTS, None)
        facts = services.registry.facts(record.node_id)
        return render(
            request,
            "node.html",
            status_code=400 if problem else 200,
            node=services.pictures.of(record),
            record=record,
            keys=_keys((await services.records.keys([record.node_id]))[record.node_id]),
            mode=(facts.availability.mode if facts else "") or record.mode,
            address=services.administration.address(record.node_id),
            host=[record.host[name] for name in ("os", "architecture") if record.host.get(name)],
            hardware=_hardware(facts),
            agent=facts.advertise.agent_version if facts else record.host.get("agent_version"),
            enrolled_by=await self._enrolled_by(record),
            requests=rows,
            totals=(await services.usage.report(month)).totals,
            notice=notice,
            problem=problem,
        )

    async def _enrolled_by(self, record: NodeRecord) -> str:
        """Who let it in: a person's email, a join token, or the name that is left of either."""
        if record.enrolled_by is None:
            return "a join token"
        return await self._services.people.email_of(record.enrolled_by) or record.enrolled_by

    async def _drain(self, record: NodeRecord, actor: str, _name: str) -> None:
        await self._services.administration.drain(record.node_id, actor)

    async def _undrain(self, record: NodeRecord, actor: str, _name: str) -> None:
        await self._services.administration.undrain(record.node_id, actor)

    async def _rotate(self, record: NodeRecord, actor: str, _name: str) -> None:
        await self._services.administration.order_rotation(record.node_id, actor)

    async def _pin(self, record: NodeRecord, actor: str, reason: str) -> None:
        by = await self._services.people.email_of(actor) or actor
        await self._services.administration.ask_for(record.node_id, reason, actor, by)

    async def _unpin(self, record: NodeRecord, actor: str, _name: str) -> None:
        """Its owner may have been faster: then there is nothing left to do."""
        with suppress(NotFound):
            await self._services.administration.unpin(record.node_id, actor)

    async def _revoke(self, record: NodeRecord, actor: str, _name: str) -> None:
        await self._services.administration.revoke(record.node_id, actor)

    async def _delete(self, record: NodeRecord, actor: str, _name: str) -> None:
        await self._services.administration.delete(record.node_id, actor)

    async def _rename(self, record: NodeRecord, actor: str, name: str) -> None:
        name = "".join(letter for letter in name if letter.isprintable()).strip()
        if not name or len(name) > _NAME_LIMIT:
            raise InputInvalid(f"A name has 1 to {_NAME_LIMIT} characters.", "name")
        changes = NodeChanges(name=name)
        await self._services.administration.change(record.node_id, changes, actor)


def _hardware(facts: LiveFacts | None) -> list[str]:
    """Processor and memory as far as the node tells them."""
    if facts is None:
        return []
    host = facts.advertise.host
    cores = f"{host.cpu_cores} cores" if host.cpu_cores else None
    memory = f"{host.memory_total_bytes / _GIB:.0f} GiB memory" if host.memory_total_bytes else None
    return [part for part in (host.cpu_name, cores, memory) if part]


@dataclass(frozen=True)
class KeyView:
    """A key and what has become of it."""

    facts: KeyFacts
    state: str
    kind: str


def _keys(found: Sequence[KeyFacts]) -> list[KeyView]:
    """A node's keys, the newest first."""
    return [KeyView(facts, *_state_of_key(facts)) for facts in reversed(found)]


def _state_of_key(facts: KeyFacts) -> tuple[str, str]:
    if facts.revoked_at_ms is not None:
        return "ended", "idle"
    return ("in use", "ok") if facts.first_used_at_ms is not None else ("not used yet", "warn")
