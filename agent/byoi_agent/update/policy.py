"""Which release this node may become, and why not another; pure."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_VERSION: Final = re.compile(r"(\d{1,6})\.(\d{1,6})\.(\d{1,6})(?:(a|b|rc)(\d{1,6}))?")
_FINAL: Final = "z"
"""Sorts behind a, b and rc: a release comes after its candidates."""

_PROTOCOL: Final = re.compile(r"byoi\.v(\d{1,6})")


@dataclass(frozen=True)
class Range:
    """Numbers from `least` to `most`, both included."""

    least: int
    most: int

    def __contains__(self, number: int) -> bool:
        return self.least <= number <= self.most


@dataclass(frozen=True)
class Offered:
    """A release of the index.

    `rollout` is the share of nodes that it is meant for by now. `state_schema` runs from the
    oldest state that it can bring up and step back to, up to the one that it writes.
    `settings_schema` is the newest form of the settings that it knows.
    """

    version: str
    protocol: Range
    state_schema: Range
    rollout: float = 1.0
    settings_schema: int = 1


@dataclass(frozen=True)
class Here:
    """This node: what runs, what its console speaks, what state it keeps, and what failed here."""

    version: str
    node_id: str
    protocol: int
    state_schema: int
    oldest_state_schema: int
    failed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class No:
    """Nothing is to be done, and why; `is_newer` where there is a newer one all the same."""

    reason: str
    is_newer: bool = False


def sort_key(version: str) -> tuple[int, int, int, str, int]:
    """What versions are ordered by.

    Raises:
        ValueError: it is no version of ours.
    """
    match = _VERSION.fullmatch(version)
    if match is None:
        raise ValueError(f"{version!r} is no version; one looks like 1.2.3 or 1.2.3rc1")
    major, minor, patch, stage, number = match.groups()
    return int(major), int(minor), int(patch), stage or _FINAL, int(number or 0)


def is_newer(version: str, than: str) -> bool:
    """Whether a version comes after another one. Raises as `sort_key`."""
    return sort_key(version) > sort_key(than)


def protocol_number(name: str) -> int:
    """1 for `byoi.v1`.

    Raises:
        ValueError: it is no name of a protocol.
    """
    match = _PROTOCOL.fullmatch(name)
    if match is None:
        raise ValueError(f"{name!r} is no protocol of ours")
    return int(match.group(1))


def share_of(node_id: str, version: str) -> float:
    """Where a node stands in a staged release, from 0 up to 1: another place for each version."""
    digest = hashlib.sha256(f"{node_id}\n{version}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def judge(offered: Offered, here: Here, *, is_named: bool = False) -> No | None:
    """Why this node does not become that release; None where it may.

    Where the owner named the version, neither its share nor an earlier failure holds, and it may be
    older. What would not run holds in any case.

    Raises:
        ValueError: the index names a version that is none.
    """
    version = offered.version
    if version == here.version:
        return No(f"{version} is installed")
    newer = is_newer(version, here.version)
    if not newer and not is_named:
        return No(f"{here.version} is installed, which is newer than {version}")
    reason = _unfit(offered, here, newer=newer)
    if reason is None and not is_named:
        reason = _not_yet(offered, here)
    return None if reason is None else No(reason, newer)


def _not_yet(offered: Offered, here: Here) -> str | None:
    version = offered.version
    if version in here.failed:
        return (
            f"it was taken back here: {here.failed[version]}; to try it again: byoi update --to "
            f"{version}"
        )
    if share_of(here.node_id, version) >= offered.rollout:
        return "it is being released in steps and has not reached this node yet"
    return None


def _unfit(offered: Offered, here: Here, *, newer: bool) -> str | None:
    version = offered.version
    if here.protocol not in offered.protocol:
        return (
            f"{version} does not speak byoi.v{here.protocol}, which is agreed with the console; "
            "the console has to be updated first"
        )
    if newer and here.state_schema not in offered.state_schema:
        return (
            f"{version} cannot take over this node's state (schema {here.state_schema}, it knows "
            f"{offered.state_schema.least} to {offered.state_schema.most}); take a version in "
            "between first (byoi update --to)"
        )
    if not newer and offered.state_schema.most < here.oldest_state_schema:
        return (
            f"{version} is too old for this node's state: {here.version} steps back to schema "
            f"{here.oldest_state_schema} at most, and {version} knows {offered.state_schema.most}"
        )
    return None
