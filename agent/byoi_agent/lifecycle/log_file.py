"""Makes sure, before a log line is written, that the place which the settings name can have it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from byoi_agent.config.files import check_can_be_made, make_private_folder
from byoi_agent.errors import ConfigError
from byoi_agent.telemetry.log_place import log_place

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from byoi_agent.telemetry.log_place import LogPlace


def usable_place(setting: str, usual: Path, environment: Mapping[str, str]) -> LogPlace:
    """As `log_place`; the usual file's folder is made, that of a named one must be there.

    Raises:
        ConfigError: the file that the owner named cannot be made.
    """
    place = log_place(setting, usual, environment)
    if place.file == usual:
        with suppress(ConfigError):  # a full disk: the lines that cannot be kept are told
            make_private_folder(usual.parent)
    elif place.file is not None:
        check_can_be_made("--log-file", place.file)
    return place
