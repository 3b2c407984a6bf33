"""The node's table of contents: every room built once, run together, and ended in order.

The end goes from the requests inwards: nothing new is taken, what runs ends or is cut, its usage
reaches the console, then the link closes, then the engine stops, and last of all the outbox.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import importlib.metadata
import logging
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from byoi_agent.bench.kept import Kept
from byoi_agent.clock import SystemClock
from byoi_agent.config.files import check_can_be_made, write_private
from byoi_agent.control.answers import Answers
from byoi_agent.control.schema import ReloadReport
from byoi_agent.control.status import engine_place
from byoi_agent.control.word import Word
from byoi_agent.daemon.accounts import Accounts
from byoi_agent.daemon.control import control_of, shared_words
from byoi_agent.daemon.ending import Ending
from byoi_agent.daemon.engines import Engines
from byoi_agent.daemon.owners import Owners
from byoi_agent.engine.leftovers import clear_leftovers
from byoi_agent.errors import ConfigError
from byoi_agent.hardware.host import read_host
from byoi_agent.hardware.watch import HardwareView, HardwareWatch
from byoi_agent.identity.console_http import ConsoleHttp
from byoi_agent.identity.rotation import KeyRotation
from byoi_agent.identity.stores import stores_for
from byoi_agent.lifecycle.log_file import usable_place
from byoi_agent.lifecycle.reload import Reload
from byoi_agent.lifecycle.service import ServiceNotices
from byoi_agent.lifecycle.signals import Stop, listen
from byoi_agent.link.keys import NodeKeys
from byoi_agent.link.supervisor import LinkStopped, LinkSupervisor
from byoi_agent.node.announcer import Announcer
from byoi_agent.node.board import Board
from byoi_agent.node.view import NodeView
from byoi_agent.serving.dispatcher import Dispatcher
from byoi_agent.serving.neighbours import Surroundings
from byoi_agent.telemetry.health import Health
from byoi_agent.telemetry.log_place import log_place
from byoi_agent.telemetry.logs import configure
from byoi_agent.telemetry.service_manager import ServiceManager
from byoi_agent.update.place import told_here

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from byoi_agent.config.loading import LoadedSettings
    from byoi_agent.config.paths import Paths
    from byoi_agent.config.settings import Settings
    from byoi_agent.control.schema import MeasuredOrder, NodePlace
    from byoi_agent.control.server import ControlServer
    from byoi_agent.identity.keys import Identity
    from byoi_agent.lifecycle.change import Change

logger = logging.getLogger(__name__)


class Daemon:
    """Builds the rooms; each of them is sole owner of its own state."""

    def __init__(
        self,
        settings: Settings,
        paths: Paths,
        identity: Identity,
        *,
        ready_file: Path | None = None,
        reread: Callable[[], Settings] | None = None,
        config_file: Path | None = None,
        loaded: Callable[[], LoadedSettings] | None = None,
        service_manager: ServiceManager | None = None,
    ) -> None:
        self.stop = Stop()
        self._paths = paths
        self._identity = identity
        self._console_url = settings.console or identity.console_url
        self._ready_file = ready_file
        self._clock = SystemClock()
        self._log = log_place(settings.log_file, paths.log_file, os.environ)
        self._board = Board(self._first_view(settings))
        self._health = Health(lambda warnings: self._board.update(warnings=warnings))
        self._reload = Reload(
            settings,
            reread=reread or (lambda: settings),
            take=self._take,
            health=self._health,
        )
        self._engines = Engines(
            settings,
            paths,
            board=self._board,
            health=self._health,
            clock=self._clock,
            changed=self._engine_changed,
            idle=self._requests_ended,
        )
        self._engine = self._engines.pool
        self._keys = self._make_keys(settings)
        self._accounts = Accounts(
            settings,
            paths,
            keys=self._keys,
            engine=self._engine,
            board=self._board,
            health=self._health,
            clock=self._clock,
        )
        self._dispatcher = Dispatcher(
            Surroundings(
                node_id=identity.node_id,
                engine=self._engine,
                outbox=self._accounts.tally,
                clock=self._clock,
                salt_secret=salt_secret(identity),
                energy=self._accounts.energy,
            ),
            self._board,
        )
        self._link = self._make_link(settings)
        self._keys.connect_with(self._link)
        # Before the owner's rooms: the console hears of a decision before anything follows of it.
        self._announcer = Announcer(self._board, self._link.send, self._clock)
        self._owners = Owners(
            settings,
            paths,
            board=self._board,
            engine=self._engine,
            dispatcher=self._dispatcher,
            link=self._link,
            health=self._health,
            clock=self._clock,
            energy=self._accounts.energy,
        )
        self._hardware = HardwareWatch(
            probe=self._accounts.energy,
            storage=paths.cache,
            publish=self._hardware_read,
            health=self._health,
            clock=self._clock,
            interval_seconds=settings.probe_seconds,
        )
        self._kept = Kept(paths.measured_file)
        self._board.update(measured=self._kept.all)
        self._control = self._make_control(settings, config_file, loaded)
        self._word = Word(
            paths.control_file, self._place, self._health, self._clock, shared_words(paths)
        )
        self._notices = ServiceNotices(
            service_manager or ServiceManager(), lambda: self._board.view, self._clock
        )
        self._board.subscribe(self._notices.look)
        self._stopped_by: LinkStopped | None = None

    async def run(self) -> None:
        """Until a signal, or until the console ends the link for good.

        Raises:
            LinkStopped: revoked, replaced, or too old: trying again cannot help.
            ConfigError: the control API's port or socket, or the ready file, cannot be used.
        """
        if self._ready_file is not None:
            check_can_be_made("--ready-file", self._ready_file)
        logger.info("node starts", extra={"version": self._board.view.agent_version})
        listen(self.stop, self.hung_up)
        await clear_leftovers(self._paths.engine_runs_folder)
        try:
            async with self._accounts.outbox, self._control:
                await self._accounts.begin()
                self._owners.local.listen()
                self._word.leave()
                async with asyncio.TaskGroup() as tasks:
                    await self._serve(tasks)
        finally:
            self._word.take_back()
        if self._stopped_by is not None:
            raise self._stopped_by

    async def _serve(self, group: asyncio.TaskGroup) -> None:
        brief = [
            group.create_task(run(), name=name)
            for name, run in (
                ("word of the node", self._word.run),
                ("memory of engines", self._engines.learning.run),
                ("ready", self._tell_ready),
            )
        ]
        rooms = [group.create_task(run(), name=name) for name, run in self._rooms()]
        await self.stop.is_wanted.wait()
        for task in brief:
            task.cancel()
        ending = self._ending()
        await ending.drain(group, self._reload.settings.drain_seconds)
        await ending.flush()
        for task in reversed(rooms):
            task.cancel()
            await asyncio.wait({task})

    def _rooms(self) -> tuple[tuple[str, Callable[[], Coroutine[None, None, None]]], ...]:
        """Those that run by themselves, from within outwards; they end the other way round."""
        return (
            ("control API", self._control.run),
            ("service manager", self._notices.run),
            ("outbox", self._accounts.outbox.run),
            ("energy", self._accounts.energy.run),
            ("engine", self._engine.run),
            ("hardware", self._hardware.run),
            ("what pays", lambda: self._accounts.costs.run(self._clock)),
            ("usage reporter", self._accounts.reporter.run),
            ("announcer", self._announcer.run),
            ("link", self._hold_link),
            ("keys", self._keys.run),
            ("dispatcher", self._dispatcher.run),
            ("the owner's rooms", self._owners.run),
        )

    # While it runs.

    async def _hold_link(self) -> None:
        try:
            await self._link.run()
        except LinkStopped as stopped:
            self._stopped_by = stopped
            self.stop.at_once()

    def _link_online(self) -> None:
        self._announcer.link_online()
        self._owners.pins.link_online()
        self._accounts.reporter.link_online(self._link.send)

    def _hardware_read(self, view: HardwareView) -> None:
        self._board.update(host=view.host, devices=view.devices)
        self._accounts.costs.look()
        self._engine.resources(view.devices, view.host.memory_total_bytes)
        self._owners.hardware_read(view)

    async def _tell_ready(self) -> None:
        view = await self._board.wait_until(lambda view: view.is_settled)
        told = "node serves" if view.is_serving else "node is its owner's now"
        logger.info(told, extra={"node": view.node_id, "console": self._console_url})
        if self._ready_file is not None:
            place = self._place().model_copy(update={"engine": engine_place(view)})
            write_private(self._ready_file.absolute(), place.model_dump_json(indent=2).encode())

    def _place(self) -> NodePlace:
        place = self._control.place(self._identity.node_id, self._paths.state)
        return place.model_copy(update={"local_url": self._owners.local.url})

    # Changes.

    def _engine_changed(self) -> None:
        self._accounts.costs.look()

    async def _requests_ended(self, key: str) -> None:
        await self._dispatcher.idle(key)

    def hung_up(self) -> None:
        """Read the settings again: a signal, or the service manager, says so."""
        with suppress(ConfigError):  # its warning says what is wrong
            self._reload_settings()

    def _keep_measured(self, order: MeasuredOrder) -> None:
        try:
            self._kept.keep(order.model, order.measured)
        finally:  # also what the disk did not take
            self._board.update(measured=self._kept.all)

    def _reload_settings(self) -> ReloadReport:
        if self.stop.is_wanted.is_set():  # another engine would only be started to be ended
            raise ConfigError("the node stops; its next start reads them")
        with self._notices.reloading():
            found = self._reload.reload()
        return ReloadReport(now=found.now, at_restart=found.at_restart)

    def _take(self, settings: Settings, change: Change) -> None:
        entries = self._engines.entries_after(settings, change)
        self._log = usable_place(settings.log_file, self._paths.log_file, os.environ)
        self._board.update(slots=settings.slots, queue=settings.queue)
        self._accounts.costs.take(settings)
        self._hardware.every(settings.probe_seconds)
        self._owners.take(settings)
        configure(settings.log_format, settings.log_level, file=self._log.file)
        if entries is not None:
            self._engine.change_to(entries, settings.memory_budget_gib)

    # The end.

    def _ending(self) -> Ending:
        return Ending(
            stop=self.stop,
            board=self._board,
            link=self._link,
            dispatcher=self._dispatcher,
            outbox=self._accounts.outbox,
            notices=self._notices,
        )

    # What takes more than a line to build; each stands on what `__init__` has built before it.

    def _first_view(self, settings: Settings) -> NodeView:
        return NodeView(
            node_id=self._identity.node_id,
            agent_version=importlib.metadata.version("byoi-agent"),
            host=read_host(self._paths.cache),
            slots=settings.slots,
            queue=settings.queue,
        )

    def _make_keys(self, settings: Settings) -> NodeKeys:
        return NodeKeys(
            self._identity,
            KeyRotation(
                self._paths.identity_file,
                stores_for(settings, self._paths, os.environ),
                ConsoleHttp(self._console_url.rstrip("/"), settings.ca_file),
                now_ms=lambda: round(self._clock.wall() * 1000),
            ),
            self._health,
        )

    def _make_link(self, settings: Settings) -> LinkSupervisor:
        return LinkSupervisor(
            self._identity,
            console_url=self._console_url,
            accept=self._dispatcher.accept,
            on_online=self._link_online,
            on_offline=self._accounts.reporter.link_offline,
            on_usage_ack=lambda ack: self._accounts.reporter.acked(ack.ids),
            publish=lambda view: self._board.update(link=view),
            clock=self._clock,
            agent=f"byoi/{self._board.view.agent_version}",
            ca_file=settings.ca_file,
            keys=self._keys,
        )

    def _make_control(
        self,
        settings: Settings,
        config_file: Path | None,
        loaded: Callable[[], LoadedSettings] | None,
    ) -> ControlServer:
        return control_of(
            settings,
            Answers(
                board=self._board,
                keys=self._keys,
                outbox=self._accounts.outbox,
                tally=self._accounts.tally,
                books=self._accounts.books,
                energy=self._accounts.energy,
                door=self._dispatcher,
                paths=self._paths,
                console_url=self._console_url,
                clock=self._clock,
                started_at=self._clock.monotonic(),
                log=lambda: self._log,
                updates=told_here,
            ),
            engine=self._engine,
            reload=self._reload_settings,
            keep_measured=self._keep_measured,
            availability=self._owners.availability,
            schedule=self._owners.schedule,
            sessions=self._owners.sessions,
            watch=self._owners.watch,
            pins=self._owners.pins,
            config_file=config_file,
            held=lambda: self._reload.settings,
            loaded=loaded,
        )


def salt_secret(identity: Identity) -> bytes:
    """What keeps tenants' prompts apart in the engine's cache; the node's own."""
    return hmac.digest(identity.key.private_bytes_raw(), b"byoi-salt-v1", hashlib.sha256)
