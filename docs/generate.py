"""Writes the generated blocks of the documentation anew: `python docs/generate.py`.

A block stands between `<!-- begin NAME -->` and `<!-- end NAME -->`; `BLOCKS` says what makes it.
"""
# ruff: noqa: INP001 (the documentation is no package)

from __future__ import annotations

import re
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS))

import availability_table  # noqa: E402 (a neighbour, found by the line above)
import control  # noqa: E402
import diagrams  # noqa: E402
import references  # noqa: E402
import tables  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

MACHINES = {
    "link": DOCS.parent / "agent" / "byoi_agent" / "link" / "machine.py",
    "engine": DOCS.parent / "agent" / "byoi_agent" / "engine" / "machine.py",
}


def machine(path: Path) -> str:
    """A machine as a diagram and as a table."""
    read = diagrams.read(path)
    return f"```mermaid\n{diagrams.mermaid(read)}\n```\n\n{diagrams.table(read)}"


UPDATE = DOCS.parent / "agent" / "byoi_agent" / "update" / "machine.py"

BLOCKS: dict[str, dict[str, Callable[[], str]]] = {
    "architecture.md": {
        f"machine {name}": partial(machine, path) for name, path in MACHINES.items()
    },
    "availability.md": {"what speaks against serving": availability_table.table},
    "updates.md": {"machine update": partial(machine, UPDATE)},
    "protocol.md": {
        "limits": tables.limits,
        "frames": tables.frames,
        "flags": tables.flags,
        "reset codes": tables.reset_codes,
        "heads": tables.heads,
        "control": tables.control,
        "records": tables.records,
    },
    "reference/cli.md": {
        "commands of byoi": partial(references.commands, "byoi"),
        "commands of byoi-console": partial(references.commands, "byoi-console"),
    },
    "reference/json.md": {"outputs of byoi": references.outputs},
    "reference/exit-codes.md": {
        "codes of byoi": references.agent_exit_codes,
        "codes of byoi-console": references.console_exit_codes,
    },
    "reference/configuration.md": {
        "settings of byoi": references.agent_configuration,
        "tables of byoi": references.agent_tables,
        "settings of byoi-console": references.console_configuration,
    },
    "reference/control-api.md": {
        "control routes": control.routes,
        "control schemas": control.schemas,
    },
    "reference/metrics.md": {
        "metrics of byoi": references.agent_metrics,
        "metrics of byoi-console": references.console_metrics,
    },
    "reference/http.md": {
        "v1": references.gateway,
        "api": partial(references.console_api, "/api/"),
        "agent": partial(references.console_api, "/agent/"),
        "health": partial(references.console_api, "/healthz", "/readyz", "/metrics"),
        "control": references.control_api,
    },
}


def filled(page: str, text: str) -> str:
    """The page's text with each of its blocks as the code has it now.

    Raises:
        KeyError: a block is not there.
    """
    for name, make in BLOCKS[page].items():
        begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
        pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        if not pattern.search(text):
            raise KeyError(f"{page} has no block {name!r}")
        block = f"{begin}\n\n{make()}\n\n{end}"
        text = pattern.sub(lambda _, block=block: block, text)
    return text


if __name__ == "__main__":
    for each in BLOCKS:
        file = DOCS / each
        file.write_text(filled(each, file.read_text(encoding="utf-8")), encoding="utf-8")
