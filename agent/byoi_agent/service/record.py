"""Writes into an installation that it runs as the system's service, so that root's commands act."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from byoi_agent.config.files import rewrite
from byoi_agent.config.installation import FILE_NAME, read_installation

if TYPE_CHECKING:
    from byoi_agent.config.installation import ServicePlaces

_MODE = 0o644


def record_service(places: ServicePlaces | None, prefix: Path | None = None) -> None:
    """Put these places, or none, into the `installation.json` of this environment.

    Raises:
        ConfigError: the file is not what an installer writes.
    """
    file = (Path(sys.prefix) if prefix is None else prefix) / FILE_NAME
    facts = read_installation(prefix).model_dump(mode="json")
    facts["service"] = None if places is None else places.model_dump(mode="json")
    rewrite(file, (json.dumps(facts, indent=2) + "\n").encode())
    file.chmod(_MODE)  # commands of every user look there
