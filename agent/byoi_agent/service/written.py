"""The files that this version writes for its service, as JSON, for the updater of another version.

`python -m byoi_agent.service.written`
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

from byoi_agent.config.installation import read_installation
from byoi_agent.config.loading import load
from byoi_agent.config.paths import default_config_file, resolve
from byoi_agent.config.settings import Settings
from byoi_agent.errors import AgentError, ConfigError
from byoi_agent.service.choice import launcher_for, meant_scope
from byoi_agent.service.launcher import WriteFile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from byoi_agent.service.choice import Scope


def files_of(environment: Mapping[str, str]) -> list[dict[str, str | int]]:
    """Each file's place, text and rights, as an installation now would write them.

    Raises:
        AgentError: this system has no services of ours, or does not answer.
    """
    scope = meant_scope(read_installation())
    paths = resolve(_settings(scope, environment), environment)
    steps = launcher_for(scope, paths, environment).install(start=False)
    return [
        {"path": str(step.path), "text": step.text, "mode": step.mode}
        for step in steps
        if isinstance(step, WriteFile)
    ]


def _settings(scope: Scope, environment: Mapping[str, str]) -> Settings:
    """A user's own say where the record lies; those of the system's service name no place."""
    if scope == "system":  # root asks, and must not read what the service's account may write
        return Settings()
    try:
        return load({}, environment, default_config_file(None, environment)).values
    except ConfigError:
        return Settings()


def main() -> int:
    """Exit code 0, or 1 with a sentence on standard error."""
    try:
        files = files_of(os.environ)
    except AgentError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(json.dumps(files))
    return 0


if __name__ == "__main__":
    sys.exit(main())
