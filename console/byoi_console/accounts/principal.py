"""On whose behalf a request is made: what every check after authentication looks at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from byoi_wire.ids import OrgId

Scope = Literal["inference", "admin"]


@dataclass(frozen=True)
class Principal:
    """A key, or a person who signed in, with what it may do.

    `models` None means every model, a limit None means no limit.
    """

    key_id: str
    org_id: OrgId
    scope: Scope
    models: frozenset[str] | None = None
    requests_per_minute: int | None = None
    max_concurrent: int | None = None

    @property
    def is_admin(self) -> bool:
        """May change the organisation's keys, tokens and nodes."""
        return self.scope == "admin"

    def may_use(self, model: str) -> bool:
        """Whether this principal may ask for `model`."""
        return self.models is None or model in self.models
