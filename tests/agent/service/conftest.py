"""Stand-ins for what services are made with: programs on PATH that write down what was asked."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = """#!/bin/sh
printf '%s' "${{0##*/}}" >>{log}
for word in "$@"; do printf ' %s' "$word" >>{log}; done
echo >>{log}
{body}
"""


class Programs:
    """Sole owner of a folder of programs that comes first on PATH; `calls` is what was asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir()
        self._log = folder / "log"

    def stand_in(self, name: str, body: str = "") -> None:
        file = self.folder / name
        file.write_text(SCRIPT.format(log=self._log, body=body))
        file.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        return self._log.read_text().splitlines() if self._log.exists() else []


@pytest.fixture
def programs(tmp_path, monkeypatch):
    made = Programs(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{made.folder}{os.pathsep}/usr/bin:/bin")
    return made
