"""Named warnings, each with its mend: what `byoi status` shows when something needs the owner."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class HealthWarning:
    """Something that is wrong now. `name` is for programs; the other two are for people."""

    name: str
    text: str
    mend: str


class Health:
    """Sole owner of the warnings that hold now; told once when one begins and once when it ends."""

    def __init__(self, publish: Callable[[tuple[HealthWarning, ...]], None] | None = None) -> None:
        self._warnings: dict[str, HealthWarning] = {}
        self._publish = publish or (lambda _: None)

    @property
    def warnings(self) -> tuple[HealthWarning, ...]:
        """All that is wrong now, oldest first."""
        return tuple(self._warnings.values())

    def warn(self, name: str, text: str, mend: str) -> None:
        """Say that something is wrong; the same words again are not news."""
        warning = HealthWarning(name, text, mend)
        if self._warnings.get(name) == warning:
            return
        if name not in self._warnings:
            logger.warning("health warning", extra={"warning": name, "text": text, "mend": mend})
        self._warnings[name] = warning
        self._publish(self.warnings)

    def clear(self, name: str) -> None:
        """Say that it is mended."""
        if self._warnings.pop(name, None) is not None:
            logger.info("health warning over", extra={"warning": name})
            self._publish(self.warnings)
