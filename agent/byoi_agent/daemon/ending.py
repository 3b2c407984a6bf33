"""The last that a node does for its requests and their usage."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from byoi_agent.usage.storage import StorageUnavailable
from byoi_wire.messages import Draining

if TYPE_CHECKING:
    from byoi_agent.lifecycle.service import ServiceNotices
    from byoi_agent.lifecycle.signals import Stop
    from byoi_agent.link.supervisor import LinkSupervisor
    from byoi_agent.node.board import Board
    from byoi_agent.serving.dispatcher import Dispatcher
    from byoi_agent.usage.outbox import Outbox

logger = logging.getLogger(__name__)

FLUSH_SECONDS: Final = 3.0
"""How long the last usage records may take to be acknowledged; the next start sends the rest."""

_FLUSH_LOOK_SECONDS: Final = 0.05


@dataclass(frozen=True)
class Ending:
    """The rooms that have something to end."""

    stop: Stop
    board: Board
    link: LinkSupervisor
    dispatcher: Dispatcher
    outbox: Outbox
    notices: ServiceNotices

    async def drain(self, tasks: asyncio.TaskGroup, within_seconds: float) -> None:
        """Take nothing new; what runs gets so long, and nothing once a second signal has come."""
        seconds = 0.0 if self.stop.is_urgent.is_set() else within_seconds
        logger.info("node stops", extra={"running": self.board.view.load.running})
        self.notices.stopping()
        self.board.update(is_draining=True)
        self.link.send(Draining(deadline_seconds=seconds))
        drained = tasks.create_task(self.dispatcher.drain(seconds), name="drain")
        urgent = tasks.create_task(self.stop.is_urgent.wait(), name="second signal")
        await asyncio.wait({drained, urgent}, return_when=asyncio.FIRST_COMPLETED)
        urgent.cancel()
        await self.dispatcher.drain(0.0)

    async def flush(self) -> None:
        """Let the console acknowledge the last records; they are on the disk in any case."""
        with suppress(TimeoutError, StorageUnavailable):
            async with asyncio.timeout(FLUSH_SECONDS):
                # The outbox tells of commits, not of acknowledgements.
                while self.link.view.state == "online" and await self.outbox.unacknowledged(1):  # noqa: ASYNC110
                    await asyncio.sleep(_FLUSH_LOOK_SECONDS)
