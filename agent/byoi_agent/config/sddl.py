"""Windows' rights in the text that the system itself writes (SDDL): who may read, who may write.

[MS-DTYP] 2.5.1 has the grammar. Only what grants is looked at: what denies never adds anybody.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

SYSTEM: Final = "SY"
ADMINISTRATORS: Final = "BA"
OWNER_RIGHTS: Final = "OW"
"""Whoever owns it; the owner is looked at for itself."""

READS: Final = 0x9000_0001
"""Reading the content: `FILE_READ_DATA`, or the generic rights that hold it."""

WRITES: Final = 0x500D_0056
"""Changing the content, what lies in the folder, the rights or the owner."""

_CODES: Final = {
    "CC": 0x1,
    "DC": 0x2,
    "LC": 0x4,
    "SW": 0x8,
    "RP": 0x10,
    "WP": 0x20,
    "DT": 0x40,
    "LO": 0x80,
    "CR": 0x100,
    "SD": 0x1_0000,
    "RC": 0x2_0000,
    "WD": 0x4_0000,
    "WO": 0x8_0000,
    "GX": 0x2000_0000,
    "GW": 0x4000_0000,
    "GR": 0x8000_0000,
    "GA": 0x1000_0000,
    "FA": 0x1F_01FF,
    "FR": 0x12_0089,
    "FW": 0x12_0116,
    "FX": 0x12_00A0,
}
_EVERY_RIGHT: Final = 0xFFFF_FFFF
_EVERYBODY: Final = "WD"
_OWNER: Final = re.compile(r"O:(S-[\d-]+|[A-Z]{2})")
_LIST: Final = re.compile(r"D:([A-Z_]*)((?:\([^)]*\))*)")
_ENTRY: Final = re.compile(r"\(([^)]*)\)")


def owner_of(sddl: str) -> str | None:
    """Whose it is."""
    found = _OWNER.match(sddl)
    return found[1] if found else None


def allowed(sddl: str, rights: int) -> frozenset[str]:
    """Who is granted any of these rights on the thing itself; what it hands down is not meant.

    Without a list at all everybody may do everything.
    """
    found = _LIST.search(sddl)
    if found is None or "NO_ACCESS_CONTROL" in found[1]:
        return frozenset({_EVERYBODY})
    who = set()
    for text in _ENTRY.findall(found[2]):
        kind, flags, granted, _, _, account, *_ = text.split(";")
        is_inherited_only = "IO" in [flags[at : at + 2] for at in range(0, len(flags), 2)]
        if kind in {"A", "XA"} and not is_inherited_only and _rights(granted) & rights:
            who.add(account)
    return frozenset(who)


def private(*owners: str, readers: tuple[str, ...] = ()) -> str:
    """Rights that the system, administrators and `owners` have, and what lies below as well.

    Nothing is handed down from above. `readers` may read and list.
    """
    full = "".join(f"(A;OICI;FA;;;{who})" for who in (SYSTEM, ADMINISTRATORS, *owners))
    return f"D:P{full}" + "".join(f"(A;OICI;FRFX;;;{who})" for who in readers)


def service_sid(service: str) -> str:
    """The account of a service below NT SERVICE, which exists as soon as somebody names it.

    Its numbers are the hash of the name in capitals, as `sc showsid` prints them.
    """
    digest = hashlib.sha1(service.upper().encode("utf-16-le")).digest()  # noqa: S324 Windows' own
    parts = [str(int.from_bytes(digest[at : at + 4], "little")) for at in range(0, 20, 4)]
    return "S-1-5-80-" + "-".join(parts)


def _rights(text: str) -> int:
    """A number, or codes of two letters; one that is not known counts as every right."""
    if text[:1].isdigit():
        return int(text, 16 if text[:2].lower() == "0x" else 10)
    codes = [text[at : at + 2] for at in range(0, len(text), 2)]
    total = 0
    for code in codes:
        total |= _CODES.get(code, _EVERY_RIGHT)
    return total
