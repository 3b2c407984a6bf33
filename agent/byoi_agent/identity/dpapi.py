"""Windows seals secrets so that they open on this machine alone (DPAPI, in the machine's scope).

Of the machine rather than of an account: an administrator enrols, and the service opens. Who may
read the file is said by its rights; the seal is for what leaves the machine, a disk or a backup.
"""

from __future__ import annotations

import sys
from typing import Protocol


class Seal(Protocol):
    """What closes and opens."""

    def close(self, secret: bytes) -> bytes:
        """What can be written down."""
        ...

    def open(self, sealed: bytes) -> bytes:
        """The secret. Raises OSError where it was sealed on another machine."""
        ...


if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    _OF_THE_MACHINE = 0x4  # CRYPTPROTECT_LOCAL_MACHINE
    _ASKS_NOBODY = 0x1  # CRYPTPROTECT_UI_FORBIDDEN

    class _Blob(ctypes.Structure):
        """`DATA_BLOB`."""

        _fields_ = [("size", wintypes.DWORD), ("data", ctypes.c_void_p)]

    class MachineSeal:
        """The system's own; see `Seal`."""

        def close(self, secret: bytes) -> bytes:
            """`CryptProtectData`."""
            return _called("CryptProtectData", secret)

        def open(self, sealed: bytes) -> bytes:
            """`CryptUnprotectData`."""
            return _called("CryptUnprotectData", sealed)

    def _called(name: str, data: bytes) -> bytes:
        held = ctypes.create_string_buffer(data, len(data))
        given, found = _Blob(len(data), ctypes.addressof(held)), _Blob()
        call = getattr(ctypes.WinDLL("crypt32", use_last_error=True), name)
        flags = _OF_THE_MACHINE | _ASKS_NOBODY
        if not call(ctypes.byref(given), None, None, None, None, flags, ctypes.byref(found)):
            raise ctypes.WinError(ctypes.get_last_error())
        try:
            return ctypes.string_at(found.data, found.size)
        finally:
            ctypes.WinDLL("kernel32").LocalFree(ctypes.c_void_p(found.data))

    def machine_seal() -> Seal | None:
        """Windows' own."""
        return MachineSeal()

else:

    def machine_seal() -> Seal | None:
        """None: elsewhere the file's mode is all there is."""
        return None
