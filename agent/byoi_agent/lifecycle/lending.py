"""The engines as whoever takes their memory back has them: not while the owner asks himself."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Container

    from byoi_agent.engine.view import EngineView
    from byoi_agent.node.board import Board
    from byoi_agent.node.view import NodeView

logger = logging.getLogger(__name__)


class Engines(Protocol):
    """All engines of this node; the pool has them."""

    @property
    def views(self) -> tuple[EngineView, ...]: ...  # noqa: D102
    def release(  # noqa: D102
        self, within_seconds: float, by: float | None = None, *, last: Container[str] = ()
    ) -> None: ...
    def come_back(self) -> None: ...  # noqa: D102


class Lending:
    """Sole owner of whether engines whose memory was to be given back are lent to the owner.

    Guests are gone all the same. A request of the owner's has the engines come back, and the memory
    is given back once he has been quiet for a while: the board tells, by what is held for him. What
    is lent is nothing that is still to be seen given back, hence no `views`.
    """

    def __init__(self, engines: Engines, board: Board) -> None:
        self._engines = engines
        self._board = board
        self._is_wanted_back = False
        self._is_lent = False
        board.subscribe(self._look)

    @property
    def views(self) -> tuple[EngineView, ...]:
        """Those whose memory is to be given back."""
        return () if self._is_in_use else self._engines.views

    def release(
        self, within_seconds: float, by: float | None = None, *, last: Container[str] = ()
    ) -> None:
        """Give the memory back, now or once the owner is quiet."""
        self._is_wanted_back = True
        self._is_lent = self._is_in_use
        if not self._is_lent:
            self._engines.release(within_seconds, by, last=last)

    def come_back(self) -> None:
        """The node serves again."""
        self._is_wanted_back = self._is_lent = False
        self._engines.come_back()

    @property
    def _is_in_use(self) -> bool:
        return bool(self._board.view.held)

    def _look(self, view: NodeView) -> None:
        if self._is_wanted_back and bool(view.held) is not self._is_lent:
            # Not now: the board is telling of another change.
            asyncio.get_running_loop().call_soon(self._follow)

    def _follow(self) -> None:
        if not self._is_wanted_back or self._is_in_use is self._is_lent:
            return
        self._is_lent = self._is_in_use
        if self._is_lent:
            logger.info("engines come back for their owner")
            self._engines.come_back()
        else:
            logger.info("the owner is quiet, memory is given back")
            self._engines.release(0.0)
