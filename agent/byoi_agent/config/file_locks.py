"""Locks on open files, without waiting; the system lets go of them however their process ends.

Other processes may still read and write what is locked: on Windows, where a lock bars that, one
byte far behind any content is locked in place of the file.
"""

from __future__ import annotations

import sys

if sys.platform == "win32":
    import ctypes
    import msvcrt
    from ctypes import wintypes

    _FAIL_IMMEDIATELY = 0x1  # LOCKFILE_FAIL_IMMEDIATELY
    _EXCLUSIVE = 0x2  # LOCKFILE_EXCLUSIVE_LOCK
    _BEYOND_CONTENT = 0x4000_0000  # the upper half of the place: 2**62 bytes

    class _Place(ctypes.Structure):
        """`OVERLAPPED`, of which only the place counts here."""

        _fields_ = [
            ("internal", ctypes.c_void_p),
            ("internal_high", ctypes.c_void_p),
            ("offset", wintypes.DWORD),
            ("offset_high", wintypes.DWORD),
            ("event", wintypes.HANDLE),
        ]

    _kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    _kernel.LockFileEx.restype = wintypes.BOOL
    _kernel.LockFileEx.argtypes = [
        wintypes.HANDLE,
        *[wintypes.DWORD] * 4,
        ctypes.POINTER(_Place),
    ]

    def lock(descriptor: int, *, is_shared: bool = False) -> bool:
        """Take a lock until the file is closed; False where another holds one in the way."""
        handle = msvcrt.get_osfhandle(descriptor)
        place = _Place(None, None, 0, _BEYOND_CONTENT, None)
        flags = _FAIL_IMMEDIATELY | (0 if is_shared else _EXCLUSIVE)
        return bool(_kernel.LockFileEx(handle, flags, 0, 1, 0, ctypes.byref(place)))

else:
    import fcntl

    def lock(descriptor: int, *, is_shared: bool = False) -> bool:
        """Take a lock until the file is closed; False where another holds one in the way."""
        kind = fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
