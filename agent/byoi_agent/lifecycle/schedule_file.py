"""The owner's schedule in the configuration file of the running node, changed from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from byoi_agent.config.edit import set_schedule
from byoi_agent.config.rewriting import rewriting

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from byoi_agent.availability.schedule import ScheduleView
    from byoi_agent.config.availability import Schedule


class ScheduleFile:
    """Shows what the schedule says, and writes another one into `file`, where it is to last.

    `reload` has the node take over what the file says then.
    """

    def __init__(
        self,
        file: Path | None,
        *,
        show: Callable[[], ScheduleView],
        reload: Callable[[], object],
    ) -> None:
        self.file = file
        self._show = show
        self._reload = reload

    @property
    def view(self) -> ScheduleView:
        """What holds now."""
        return self._show()

    def put(self, schedule: Schedule) -> None:
        """Have this one hold, now and after a restart.

        Raises:
            ConfigError: the file cannot be written by the node's user, or what it says is wrong.
        """
        with rewriting(self.file) as file:
            set_schedule(file, schedule)
            self._reload()
