"""Which files of the service change with the version: ours that nobody changed, no others; pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from byoi_agent.service.launcher import Remove, WriteFile
from byoi_agent.service.units import AGENT

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping


_SAYS_WHEN: Final = "[Install]"
"""The section of a unit that says what starts it (systemd.unit(5))."""


@dataclass(frozen=True)
class Renewal:
    """What to do, and the files that stay since their owner made them other than we did.

    `begun` and `ended` are systemd's units that only one of the versions has, and that something
    else is to start: they are enabled after the steps, or disabled before.
    """

    steps: tuple[WriteFile | Remove, ...]
    kept: tuple[Path, ...]
    begun: tuple[str, ...] = ()
    ended: tuple[str, ...] = ()


def read(said: str) -> Mapping[Path, WriteFile]:
    """What a version writes, as `byoi_agent.service.written` tells it.

    Raises:
        ValueError: it is something else.
    """
    try:
        files = [
            WriteFile(Path(one["path"]), str(one["text"]), int(one["mode"]))
            for one in json.loads(said)
        ]
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"a version tells its service's files in no form of ours: {error}"
        ) from error
    return {file.path: file for file in files}


def renewal(
    away: Mapping[Path, WriteFile],
    to: Mapping[Path, WriteFile],
    present: Callable[[Path], str | None],
) -> Renewal:
    """From one version's files to another's; `present` says what a file holds, None without it.

    A file that is there already as the other version has it, or that its owner took away, needs
    nothing; done twice is done once.
    """
    steps: list[WriteFile | Remove] = []
    kept: list[Path] = []
    for path in sorted({*away, *to}):
        text = present(path)
        before = away[path].text if path in away else None
        after = to[path].text if path in to else None
        if after in {text, before}:
            continue
        if text != before:
            kept += [] if text is None else [path]
        elif path in to:
            steps.append(to[path])
        else:
            steps.append(Remove(path))
    return Renewal(
        tuple(steps),
        tuple(kept),
        begun=_started(to, away, without=kept),
        ended=_started(away, to, without=kept),
    )


def _started(
    of: Mapping[Path, WriteFile], beside: Mapping[Path, WriteFile], without: Collection[Path]
) -> tuple[str, ...]:
    """Units beside the node's own that only `of` has; those of people's sessions are theirs."""
    folders = {path.parent for path in of if path.name == AGENT}
    return tuple(
        path.name
        for path, file in sorted(of.items())
        if path.parent in folders
        and path not in beside
        and path not in without
        and _SAYS_WHEN in file.text.splitlines()
    )
