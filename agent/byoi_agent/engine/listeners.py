"""Finds sockets on which processes listen beyond this machine; Linux's /proc tells, others do not.

An engine answers without a key on most of its routes, some bring pickled objects in (vLLM's had
several such holes): none of its sockets may be open to a network.
"""

from __future__ import annotations

import ipaddress
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_LISTENS: Final = "0A"
_TABLES: Final = ("tcp", "tcp6")


def open_to_others(pids: Iterable[int]) -> tuple[str, ...]:
    """`ADDRESS:PORT` of each listening TCP socket of these processes that is not on loopback."""
    found: set[str] = set()
    for pid in pids:
        process = Path(f"/proc/{pid}")
        inodes = _sockets_of(process)
        for table in _TABLES if inodes else ():
            # A process may be in a network of its own, so each is asked for its own table.
            found.update(
                address
                for inode, address in listening(_read(process / "net" / table))
                if inode in inodes
            )
    return tuple(sorted(found))


def listening(table: str) -> list[tuple[str, str]]:
    """Inode and address of each socket in a table of /proc/net that listens beyond loopback."""
    found = []
    for line in table.splitlines()[1:]:
        fields = line.split()
        if fields[3] != _LISTENS:
            continue
        raw, _, port = fields[1].partition(":")
        address = _address(raw)
        if not address.is_loopback:
            shown = f"[{address}]" if address.version == 6 else str(address)  # noqa: PLR2004
            found.append((fields[9], f"{shown}:{int(port, 16)}"))
    return found


def _address(raw: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The kernel prints the address as words of four bytes in its own order."""
    words = [bytes.fromhex(raw[at : at + 8]) for at in range(0, len(raw), 8)]
    packed = b"".join(word[::-1] if sys.byteorder == "little" else word for word in words)
    address = ipaddress.ip_address(packed)
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address


def _sockets_of(process: Path) -> frozenset[str]:
    inodes = set()
    try:
        for entry in (process / "fd").iterdir():
            try:
                target = os.readlink(entry)  # noqa: PTH115 it leads to no path
            except OSError:
                continue  # closed meanwhile
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    except OSError:
        return frozenset()  # gone meanwhile, or not Linux
    return frozenset(inodes)


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
