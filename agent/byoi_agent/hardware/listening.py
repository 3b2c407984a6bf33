"""Which processes serve a port of this machine, also where they are another account's."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from byoi_agent.hardware.host import listening_on

_LISTENS: Final = "0A"
_FIRST_PERSON: Final = 1000
"""Accounts below are services' own (login.defs' UID_MIN)."""

_PROC: Final = Path("/proc")


def processes_at(port: int, proc: Path = _PROC) -> frozenset[int]:
    """Those that listen there; none where nobody does, or nobody tells us who.

    Linux shows only root whose sockets those of other accounts are. But the account itself is
    told: where it is a service's own, as `ollama` is, all that it runs belongs to that service.
    """
    if pids := listening_on(port):
        return pids
    accounts = {
        account
        for table in ("tcp", "tcp6")
        for account in _accounts(proc / "net" / table, port)
        if 0 < account < _FIRST_PERSON
    }
    return frozenset(pid for pid, owner in _owners(proc) if owner in accounts) if accounts else pids


def _accounts(table: Path, port: int) -> set[int]:
    """Whose the sockets are that listen there, by a table of /proc/net."""
    try:
        lines = [line.split() for line in table.read_text().splitlines()[1:]]
    except OSError:
        return set()
    return {
        int(fields[7])
        for fields in lines
        if fields[3] == _LISTENS and int(fields[1].rpartition(":")[2], 16) == port
    }


def _owners(proc: Path) -> list[tuple[int, int]]:
    """Each process with the account that it runs as."""
    found = []
    for entry in proc.iterdir():
        if entry.name.isdigit():
            try:
                found.append((int(entry.name), entry.stat().st_uid))
            except OSError:
                continue  # gone meanwhile
    return found
