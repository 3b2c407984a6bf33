"""Reads the settings again while the node runs: all of what can change now, or nothing at all."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from byoi_agent.errors import ConfigError, EngineError
from byoi_agent.lifecycle.change import Change, change

if TYPE_CHECKING:
    from collections.abc import Callable

    from byoi_agent.config.settings import Settings
    from byoi_agent.telemetry.health import Health

logger = logging.getLogger(__name__)

NOT_TAKEN: Final = "settings-not-taken"
RESTART_NEEDED: Final = "restart-needed"


class Reload:
    """Sole owner of the settings that hold now.

    `reread` gives the settings as a start now would find them; `take` puts them to use, and raises
    ConfigError, or EngineError of a driver that is silent, before it has changed anything where it
    cannot.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        reread: Callable[[], Settings],
        take: Callable[[Settings, Change], None],
        health: Health,
    ) -> None:
        self._started = settings
        self._held = settings
        self._reread = reread
        self._take = take
        self._health = health

    @property
    def settings(self) -> Settings:
        """What holds now."""
        return self._held

    def reload(self) -> Change:
        """Read and take them.

        Raises:
            ConfigError: they are wrong, or cannot be judged now, and nothing was changed; the
                node's warnings say so too.
        """
        try:
            wanted = self._reread()
            found = change(self._started, self._held, wanted)
            self._take(wanted, found)
        except (ConfigError, EngineError) as error:
            self._health.warn(
                NOT_TAKEN,
                f"the settings were not taken, and the old ones hold: {error}",
                "mend them, then: byoi reload",
            )
            raise ConfigError(str(error)) from error
        self._held = wanted
        self._health.clear(NOT_TAKEN)
        self._tell_restart(found.at_restart)
        logger.info(
            "settings read again",
            extra={"changed": list(found.now), "at_restart": list(found.at_restart)},
        )
        return found

    def _tell_restart(self, names: tuple[str, ...]) -> None:
        if not names:
            self._health.clear(RESTART_NEEDED)
            return
        self._health.warn(
            RESTART_NEEDED,
            f"{', '.join(names)} changed in the settings and cannot change in a running node",
            "restart the node when it suits",
        )
