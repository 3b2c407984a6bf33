"""The console's table of contents: every room built once, run together, and ended in order."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
import socket
import time
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from byoi_console.accounts.audit import AuditLog
from byoi_console.accounts.colleagues import Colleagues
from byoi_console.accounts.keys import ApiKeys
from byoi_console.accounts.one_time_links import OneTimeLinks
from byoi_console.accounts.organisations import Organisations
from byoi_console.accounts.people import People
from byoi_console.accounts.sign_ins import SignIns
from byoi_console.api.app import build_api
from byoi_console.api.condition import Condition
from byoi_console.api.services import Services
from byoi_console.catalogue.models import Catalogue
from byoi_console.clock import wall_ms
from byoi_console.errors import ConfigError
from byoi_console.gateway.forwarded import Proxies
from byoi_console.gateway.front import Front
from byoi_console.gateway.routes import Gateway
from byoi_console.gateway.tls import Certificate
from byoi_console.ledger.postings import Ledger
from byoi_console.ledger.tickets import Tickets
from byoi_console.ledger.usage import UsageQueries
from byoi_console.nodes.administration import NodeAdministration
from byoi_console.nodes.devices import Devices
from byoi_console.nodes.endpoint import AgentsDoor
from byoi_console.nodes.enrolment import Enrolment
from byoi_console.nodes.join_tokens import JoinTokens
from byoi_console.nodes.keys import ConsoleKeys, load_console_keys
from byoi_console.nodes.node_requests import NodeRequests
from byoi_console.nodes.pins import Pins
from byoi_console.nodes.records import NodeRecords
from byoi_console.nodes.session import Sessions
from byoi_console.pages.app import build_pages
from byoi_console.pages.pictures import NodePictures
from byoi_console.pages.services import PageServices
from byoi_console.pages.viewers import Viewers
from byoi_console.policy.enforcement import Enforcement
from byoi_console.routing.registry import Registry
from byoi_console.routing.throughput import Throughput
from byoi_console.store.database import Database
from byoi_console.store.lock import serving_from
from byoi_console.store.migrate import migrate
from byoi_console.telemetry.metrics import Tally
from byoi_console.telemetry.service_manager import ServiceManager
from byoi_wire.version import GRACE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from byoi_console.config import Settings
    from byoi_console.ledger.postings import Posting
    from byoi_console.pages.node_views import NodeView

logger = logging.getLogger(__name__)

_BACKLOG: Final = 1024
_RETURNS_PER_SECOND: Final = 100
"""How many nodes come back within a second of each other after a restart."""

_ANY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - shown, not bound
_API_PATHS: Final = ("/api", "/agent", "/healthz", "/readyz", "/metrics")
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


class Stop:
    """Sole owner of the wish to stop: first politely, then at once."""

    def __init__(self) -> None:
        self.is_wanted = asyncio.Event()
        self.is_urgent = asyncio.Event()

    def ask(self) -> None:
        """A signal: the first lets answers end, the second does not."""
        if self.is_wanted.is_set():
            self.is_urgent.set()
        self.is_wanted.set()

    def at_once(self) -> None:
        """Nobody is left to serve."""
        self.is_wanted.set()
        self.is_urgent.set()


@dataclass(frozen=True)
class Serving:
    """A console that takes requests.

    `set_up_url` is where its first administrator comes in, once; None: there is a person already.
    """

    url: str
    set_up_url: str | None
    stop: Stop


async def serve_console(settings: Settings, ready: Callable[[Serving], None]) -> None:
    """Serve until SIGTERM or SIGINT; SIGHUP takes a renewed certificate into use.

    Args:
        settings: what the operator chose.
        ready: told once requests are taken.

    Raises:
        ConfigError: the address cannot be listened on, the certificate not be used, or the data
            folder not be written.
        StateInUse: another console serves from this data folder.
    """
    stop = Stop()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.ask)
    tls = _certificate(settings)
    manager = ServiceManager(os.environ)
    with _listen(settings) as listener:
        url = _url(listener, "http" if tls is None else "https")
        loop.add_signal_handler(signal.SIGHUP, _reload, tls, manager, url)
        database = Database(settings.database)
        try:
            # Replicas on one server's database are meant to be; on one file they cannot be.
            with nullcontext() if database.file is None else serving_from(database.file):
                await migrate(database)
                keys = await load_console_keys(database, origin=settings.origin, first_origin=url)
                public_url = settings.origin or url
                rooms = _build(settings, database, keys, stop, public_url)
                await rooms.recall()
                path = await rooms.links.for_first_admin()
                serving = Serving(url, None if path is None else public_url + path, stop)

                def started() -> None:
                    manager.ready(url)
                    ready(serving)

                async with asyncio.TaskGroup() as tasks:
                    watchdog = tasks.create_task(manager.run(), name="watchdog")
                    await _run(rooms, settings, (listener, tls), stop, started, manager)
                    watchdog.cancel()
        finally:
            await database.close()


@dataclass(frozen=True)
class _Rooms:
    """Those that have tasks, or a say in the order of the end."""

    front: Front
    door: AgentsDoor
    sessions: Sessions
    registry: Registry
    ledger: Ledger
    links: OneTimeLinks
    viewers: Viewers[tuple[NodeView, ...]]
    recall: Callable[[], Awaitable[None]]
    """Bring back what an earlier run knew of the nodes, before the first of them comes."""


async def _run(
    rooms: _Rooms,
    settings: Settings,
    listening: tuple[socket.socket, Certificate | None],
    stop: Stop,
    ready: Callable[[], None],
    manager: ServiceManager,
) -> None:
    """All rooms until the end, which goes from the clients inwards.

    Nodes are told to come back later, clients get their answers, then the links end, and last of
    all the ledger, with everything that was still to be booked.
    """
    listener, tls = listening
    context = None if tls is None else tls.context
    async with asyncio.TaskGroup() as tasks:
        ledger = tasks.create_task(rooms.ledger.run(), name="ledger")
        door = tasks.create_task(rooms.door.run(), name="agents' door")
        viewers = tasks.create_task(rooms.viewers.run(), name="live pages")
        front = tasks.create_task(
            rooms.front.run(listener, tls=context, started=ready), name="front"
        )
        await stop.is_wanted.wait()
        logger.info("console stops", extra={"requests": rooms.front.active})
        manager.stopping(settings.drain_seconds)
        window = max(1.0, len(rooms.registry.live()) / _RETURNS_PER_SECOND)
        rooms.sessions.drain(lambda: random.uniform(0.0, window), settings.drain_seconds)  # noqa: S311
        rooms.viewers.close()  # a page that stays open is no answer to wait for
        drain = tasks.create_task(rooms.front.drain(settings.drain_seconds), name="drain")
        urgent = tasks.create_task(stop.is_urgent.wait(), name="second signal")
        await asyncio.wait({drain, urgent}, return_when=asyncio.FIRST_COMPLETED)
        for task in (drain, urgent, front, viewers, door, ledger):
            # One turn, so that what the room before has just handed over is under way.
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait({task})


def _build(
    settings: Settings, database: Database, keys: ConsoleKeys, stop: Stop, public_url: str
) -> _Rooms:
    audit = AuditLog(database)
    tickets = Tickets(keys.ticket_secret)
    ledger = Ledger(database, audit, tickets)
    registry = Registry()
    records = NodeRecords(database, audit)
    api_keys = ApiKeys(database, audit)
    people = People(database, audit)
    sign_ins = SignIns(database, audit)
    links = OneTimeLinks(database, audit, people)
    usage = UsageQueries(database)
    tally = Tally()
    sessions = Sessions(registry, GRACE_SECONDS)
    devices = Devices(database, audit, keys, sessions.disconnect, url=public_url)
    pins = Pins(database, audit, registry, sessions.send)
    administration = NodeAdministration(records, sessions, registry, pins)
    join_tokens = JoinTokens(database, audit)
    enrolment = Enrolment(database, audit, join_tokens, keys)
    door = AgentsDoor(
        keys=keys, records=records, sessions=sessions, registry=registry, ledger=ledger, pins=pins
    )

    condition = Condition(
        database,
        ledger,
        registry,
        tally,
        is_stopping=stop.is_wanted.is_set,
        requests_open=lambda: front.active,
        postings_pending=lambda: gateway.pending,
        wrong_credentials=lambda: {
            "api_key": api_keys.wrong_keys,
            "password": people.wrong_passwords,
            "join_token": enrolment.wrong_tokens,
        },
    )
    api = build_api(
        Services(
            keys=api_keys,
            people=people,
            sign_ins=sign_ins,
            url=public_url,
            join_tokens=join_tokens,
            enrolment=enrolment,
            devices=devices,
            node_requests=NodeRequests(database, audit, keys.origin, administration.gone),
            records=records,
            administration=administration,
            registry=registry,
            usage=usage,
            caught_up=ledger.caught_up,
            why_not_ready=condition.why_not_ready,
            metrics=condition.metrics,
            metrics_are_public=settings.metrics_public,
        )
    )
    throughput = Throughput()
    pictures = NodePictures(
        records,
        registry,
        lambda node: throughput.per_second(node, time.monotonic()),
        wall_ms,
        pins.of,
    )
    viewers = Viewers(pictures.look, sign_ins.living)
    pages = build_pages(
        PageServices(
            url=public_url,
            people=people,
            sign_ins=sign_ins,
            links=links,
            colleagues=Colleagues(database, audit, links),
            organisations=Organisations(database, audit),
            keys=api_keys,
            join_tokens=join_tokens,
            devices=devices,
            records=records,
            administration=administration,
            registry=registry,
            pictures=pictures,
            viewers=viewers,
            usage=usage,
            caught_up=ledger.caught_up,
            disconnect=sessions.disconnect,
            now_ms=wall_ms,
        )
    )
    gateway = Gateway(
        keys=api_keys,
        policy=Enforcement(),
        nodes=registry,
        catalogue=Catalogue(registry),
        tickets=tickets,
        books=ledger,
        ended=lambda posting: _count_attempt(tally, throughput, posting),
        answered=lambda answered: tally.request_ended(**answered._asdict()),
    )
    proxies = Proxies(settings.trusted_proxies)
    front = Front(gateway=gateway, app=_side_by_side(api, pages), agents_door=door, proxies=proxies)

    return _Rooms(
        front, door, sessions, registry, ledger, links, viewers, recall=administration.load
    )


def _side_by_side(api: ASGIApp, pages: ASGIApp) -> ASGIApp:
    """What programs call, and for every other path what people see."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        is_api = any(path == own or path.startswith(f"{own}/") for own in _API_PATHS)
        await (api if is_api else pages)(scope, receive, send)

    return answer


def _count_attempt(tally: Tally, throughput: Throughput, posting: Posting) -> None:
    throughput.add(posting.node_id, posting.usage.completion_tokens, time.monotonic())
    first_ms = posting.first_token_ms
    tally.attempt_ended(
        number=posting.attempt,
        model=posting.model,
        outcome=posting.outcome,
        tokens={
            "prompt": posting.usage.prompt_tokens,
            "completion": posting.usage.completion_tokens,
        },
        first_token_seconds=None if first_ms is None else first_ms / 1000,
    )


def _certificate(settings: Settings) -> Certificate | None:
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    return Certificate(settings.tls_cert, settings.tls_key)


def _reload(tls: Certificate | None, manager: ServiceManager, url: str) -> None:
    manager.reloading()
    if tls is None:
        logger.info("nothing to reload: only a certificate is read anew while the console serves")
    else:
        tls.reload()
    manager.ready(url)


def _listen(settings: Settings) -> socket.socket:
    host, port = settings.host, settings.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host} port {port}: {error.strerror}; choose another with --port"
        ) from error
    listener.setblocking(False)
    if host not in _LOOPBACK and settings.tls_cert is None and not settings.trusted_proxies:
        logger.warning(
            "listening beyond this machine without TLS: give --tls-cert and --tls-key, or put a "
            "proxy that speaks https and wss in front, with its address as --trusted-proxies",
            extra={"host": host},
        )
    return listener


def _url(listener: socket.socket, scheme: str) -> str:
    host, port = listener.getsockname()[:2]
    host = _ANY_ADDRESS.get(host, host)
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
