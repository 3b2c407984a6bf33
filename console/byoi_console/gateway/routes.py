"""The `/v1` table: who asks, for what, may they, and who answers."""

from __future__ import annotations

import hashlib
import json
import time
from typing import TYPE_CHECKING, Any, Final, Literal

from byoi_console.clock import wall_ms
from byoi_console.errors import ConsoleError, Forbidden, LedgerUnavailable
from byoi_console.gateway import errors
from byoi_console.gateway.attempt import Call
from byoi_console.gateway.continuation import may_continue
from byoi_console.gateway.errors import (
    MediaRefused,
    MethodRefused,
    ModelUnknown,
    RouteUnknown,
    Unserved,
)
from byoi_console.gateway.idempotency import Name, Recordings, fingerprint
from byoi_console.gateway.ports import Answered
from byoi_console.gateway.posting import Bookkeeper
from byoi_console.gateway.quarantine import Quarantine
from byoi_console.gateway.relay import Patience, Relay
from byoi_wire.ids import ModelId, OrgId, RequestId
from byoi_wire.requests import (
    EXTRA_FIELDS,
    ROUTES,
    RequestInvalid,
    RequestRoute,
    check,
    decode_body,
    encode_body,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from byoi_console.accounts.principal import Principal
    from byoi_console.gateway.exchange import Exchange, Header
    from byoi_console.gateway.idempotency import Recording
    from byoi_console.gateway.ports import Books, Catalogue, Keys, Nodes, Policy, TicketOffice
    from byoi_console.ledger.entries import Posting

_EXTRA: Final = frozenset(EXTRA_FIELDS)
"""What any kind of engine allows; the node knows its own kind and has the last word."""

_MODELS: Final = "/v1/models"
_JSON: Final[Header] = (b"content-type", b"application/json")
_VERSION: Final[Header] = (b"openai-version", b"2020-10-01")
_WRONG: Final = 400
_LEFT: Final = 499
_BROKEN: Final = 500


class Gateway:
    """Answers `/v1/*`; sole owner of what may be replayed."""

    def __init__(
        self,
        *,
        keys: Keys,
        policy: Policy,
        nodes: Nodes,
        catalogue: Catalogue,
        tickets: TicketOffice,
        books: Books,
        ended: Callable[[Posting], None] | None = None,
        answered: Callable[[Answered], None] | None = None,
        patience: Patience | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keys = keys
        self._policy = policy
        self._nodes = nodes
        self._catalogue = catalogue
        self._tickets = tickets
        self._bookkeeper = Bookkeeper(books, ended=ended)
        self._answered = answered
        self._patience = patience or Patience()
        self._monotonic = monotonic
        self._recordings = Recordings(monotonic)
        self._quarantine = Quarantine()

    @property
    def pending(self) -> int:
        """Answers that have ended and are not booked yet."""
        return self._bookkeeper.pending

    async def run(self) -> None:
        """Own the postings under way until cancelled; they are then given a moment to arrive."""
        await self._bookkeeper.run()

    async def answer(self, exchange: Exchange, request_id: str) -> None:
        """Answer one request, whatever it is."""
        started = self._monotonic()
        own: tuple[Header, ...] = ((b"x-request-id", request_id.encode()), _VERSION)
        models: list[str] = []
        try:
            await self._answer(exchange, request_id, own, started, models)
        except (RequestInvalid, ConsoleError) as error:
            if exchange.is_open and not exchange.has_begun:
                told = errors.answer_to(error)
                headers = (*own, _took(started, self._monotonic()), _JSON, *told.headers)
                exchange.answer(told.status, headers, told.body)
        finally:
            if self._answered is not None:
                self._answered(_summary(exchange, models, self._monotonic() - started))

    async def _answer(
        self,
        exchange: Exchange,
        request_id: str,
        own: tuple[Header, ...],
        started: float,
        models: list[str],
    ) -> None:
        """Answer it; the model that it may use is put into `models` for who counts."""
        path, method = exchange.request.path, exchange.request.method
        allowed = _allowed(path)
        if allowed is None:
            raise RouteUnknown(method, path)
        if method == "OPTIONS":
            # Browsers are not let in yet: without CORS headers they stop here by themselves.
            exchange.answer(204, (*own, (b"allow", allowed.encode())), b"")
            return
        if method not in allowed.split(", "):
            raise MethodRefused(method, path, allowed)
        principal = await self._authenticate(exchange)
        if (route := ROUTES.get(path)) is not None:
            await self._pass_through(exchange, route, principal, request_id, own, models)
            return
        told = self._models(path, principal)
        headers = (*own, _took(started, self._monotonic()), _JSON)
        exchange.answer(200, headers, json.dumps(told).encode())

    async def _authenticate(self, exchange: Exchange) -> Principal:
        authorization = exchange.request.header(b"authorization")
        principal = self._keys.cached(authorization)
        if principal is None:
            principal = await self._keys.authenticate(authorization, peer=exchange.peer)
        return principal

    def _models(self, path: str, principal: Principal) -> Mapping[str, Any]:
        if path == _MODELS:
            return self._catalogue.listed(principal)
        model = path.removeprefix(_MODELS + "/")
        described = self._catalogue.described(principal, model)
        if described is None:
            raise self._missing(ModelId(model), principal)
        return described

    def _missing(self, model: ModelId, principal: Principal) -> ConsoleError:
        """A model of a node that is not here is one that its requests are told to wait for."""
        if principal.may_use(model) and self._nodes.is_known(model, principal.org_id):
            if away := self._nodes.away(model, principal.org_id):
                wait = errors.until_back(away, wall_ms())
                return Unserved("nodes_away", errors.text_of("nodes_away"), wait)
            return Unserved("no_node_available", errors.text_of("no_node_available"))
        return ModelUnknown(model, self._catalogue.near(principal, model))

    async def _pass_through(
        self,
        exchange: Exchange,
        route: RequestRoute,
        principal: Principal,
        request_id: str,
        own: tuple[Header, ...],
        models: list[str],
    ) -> None:
        _check_media(exchange)
        body = exchange.request.body
        checked = check(route, decode_body(body), allowed_extra=_EXTRA)
        self._check_model(checked.body["model"], principal)
        models.append(checked.body["model"])
        dropped = checked.dropped
        headers = (*own, (b"x-byoi-dropped", ", ".join(dropped).encode())) if dropped else own
        call = self._call(route, checked.body, principal, request_id)
        key = exchange.request.header(b"idempotency-key")
        if key is None:
            await self._relay_to(exchange, call, headers)
            return
        name, wanted = Name(principal.key_id, key), fingerprint(route.path, body)
        if (recording := self._recordings.find(name, wanted)) is not None:
            await recording.give(exchange, own, is_replay=True)
            return
        await self._record(exchange, call, headers, name, wanted)

    def _check_model(self, model: str, principal: Principal) -> None:
        """Refuse what this key may not use, and what no node has offered.

        A model whose nodes are all away is no news to the caller yet: they may come back. While no
        node at all is here, as for a moment after a restart, nobody can say what is offered.

        Raises:
            Forbidden, ModelUnknown: which of the two it is.
        """
        org_id = principal.org_id
        if not principal.may_use(model):
            raise Forbidden(f"This API key may not use the model `{model[:200]}`.")
        if self._nodes.models(org_id) and not self._nodes.is_known(ModelId(model), org_id):
            raise ModelUnknown(model, self._catalogue.near(principal, model))

    def _call(
        self, route: RequestRoute, body: dict[str, Any], principal: Principal, request_id: str
    ) -> Call:
        streams = route.streams and body.get("stream") is True
        keeps_usage = True
        if streams and route.dialect != "responses":
            # Asked for whether or not the client wants it: the counts are what is billed.
            options = body.get("stream_options") or {}
            keeps_usage = options.get("include_usage") is True
            body = {**body, "stream_options": {"include_usage": True}}
        elif "stream_options" in body:
            body = {name: value for name, value in body.items() if name != "stream_options"}
        encoded = encode_body(body)
        return Call(
            request_id=RequestId(request_id),
            principal=principal,
            route=route,
            model=ModelId(body["model"]),
            body=encoded,
            streams=streams,
            keeps_usage=keeps_usage,
            tenant=_tenant(principal.org_id),
            started_at_ms=wall_ms(),
            fingerprint=fingerprint(route.path, encoded),
            may_continue=streams and may_continue(route.path, body),
        )

    async def _relay_to(
        self, client: Exchange | Recording, call: Call, headers: tuple[Header, ...]
    ) -> None:
        if not self._bookkeeper.is_open:
            raise LedgerUnavailable("postings are not taken")
        admission = self._policy.admit(call.principal)
        try:
            limits = [(k.encode(), v.encode()) for k, v in admission.headers.items()]
            relay = Relay(
                call,
                client,
                (*headers, *limits),
                nodes=self._nodes,
                tickets=self._tickets,
                bookkeeper=self._bookkeeper,
                quarantine=self._quarantine,
                patience=self._patience,
            )
            client.listen(left=relay.client_left, writable=relay.client_writable)
            await relay.run()
        finally:
            admission.release()

    async def _record(
        self,
        exchange: Exchange,
        call: Call,
        headers: tuple[Header, ...],
        name: Name,
        wanted: bytes,
    ) -> None:
        """Make an answer that others may join; it goes on while one of them waits."""
        recording = self._recordings.start(name, wanted)
        first = recording.join(exchange, (), is_replay=False)
        try:
            await self._relay_to(recording, call, headers)
        except ConsoleError as error:
            recording.fail(error)
            raise
        finally:
            if not recording.is_over:  # all left, or a fault of our own: nobody may wait for it
                recording.fail(Unserved("upstream_error", errors.text_of("upstream_error")))
            self._recordings.ended(name, recording)
        await first.wait()  # as long as its client takes to read; the connection bounds that


def _allowed(path: str) -> str | None:
    if path in ROUTES:
        return "POST, OPTIONS"
    if path == _MODELS or (path.startswith(_MODELS + "/") and len(path) > len(_MODELS) + 1):
        return "GET, HEAD, OPTIONS"
    return None


def _check_media(exchange: Exchange) -> None:
    request = exchange.request
    if (request.header(b"content-encoding") or "identity").lower() != "identity":
        raise MediaRefused("Compressed request bodies are not taken.")
    kind = (request.header(b"content-type") or "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise MediaRefused("The request's Content-Type must be application/json.")


def _summary(exchange: Exchange, models: list[str], seconds: float) -> Answered:
    path = exchange.request.path
    route = path if path in ROUTES or path == _MODELS else ""
    model = models[0] if models else ""
    if exchange.has_left:
        return Answered(route, model, exchange.status or _LEFT, "cancelled", seconds)
    # What was not answered here is answered with 500 by the front.
    status = exchange.status or _BROKEN
    if status >= _BROKEN or not exchange.is_good:
        return Answered(route, model, status, "failed", seconds)
    outcome: Literal["refused", "complete"] = "refused" if status >= _WRONG else "complete"
    return Answered(route, model, status, outcome, seconds)


def _took(started: float, now: float) -> Header:
    return (b"openai-processing-ms", b"%d" % ((now - started) * 1000))


def _tenant(org_id: OrgId) -> str:
    """The same for all of an organisation's requests, and not its name."""
    return hashlib.sha256(b"byoi-tenant-v1\0" + org_id.encode()).hexdigest()[:32]
