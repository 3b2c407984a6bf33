"""What the machine's owner told pip about indexes, for uv, which does not read it by itself."""

from __future__ import annotations

import configparser
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_SAME: Final = {
    "UV_FIND_LINKS": ("PIP_FIND_LINKS", "find-links"),
    "UV_DEFAULT_INDEX": ("PIP_INDEX_URL", "index-url"),
    "UV_INDEX": ("PIP_EXTRA_INDEX_URL", "extra-index-url"),
}


def index_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables for uv, where it was not told itself: from pip's variables, else from its files.

    The machine's certificates count, as they do for pip: a company's proxy signs with its own.
    Every index is looked through for a pinned wheel, since a hash says which one is meant.
    """
    filed = _from_files(environment)
    told = {"UV_SYSTEM_CERTS": "1", "UV_INDEX_STRATEGY": "unsafe-best-match"}
    for theirs, (variable, option) in _SAME.items():
        if value := environment.get(variable) or filed.get(option):
            # uv's list of folders has commas where pip's has blanks.
            told[theirs] = ",".join(value.split()) if theirs == "UV_FIND_LINKS" else value
    return {name: environment.get(name, value) for name, value in told.items()}


def _from_files(environment: Mapping[str, str]) -> dict[str, str]:
    """What `[global]` says, the user's file over the system's; a damaged one counts for nothing."""
    found: dict[str, str] = {}
    for path in _files(environment):
        parser = configparser.RawConfigParser()
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError):
            continue
        section = parser["global"] if parser.has_section("global") else {}
        found |= {option: " ".join(value.split()) for option, value in section.items()}
    if "extra-index-url" in found:
        # An index that is a folder holds what it holds; uv fails at every package it does not.
        indexes = [url for url in found["extra-index-url"].split() if url.startswith("http")]
        found["extra-index-url"] = " ".join(indexes)
    return found


def _files(environment: Mapping[str, str]) -> list[Path]:
    if (named := environment.get("PIP_CONFIG_FILE")) == os.devnull:
        return []
    home = Path(environment.get("HOME") or "/nonexistent")
    own = Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / "pip.conf"
    if sys.platform == "darwin":
        own = home / "Library" / "Application Support" / "pip" / "pip.conf"
    named_files = [Path(named)] if named else []
    return [Path("/etc/pip.conf"), home / ".pip" / "pip.conf", own, *named_files]
