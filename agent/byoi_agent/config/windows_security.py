"""The calls into Windows about accounts and rights that `windows_files` needs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

if sys.platform == "win32":
    import ctypes
    import msvcrt
    import os
    import stat
    from ctypes import wintypes

    _GENERIC_READ = 0x8000_0000
    _GENERIC_WRITE = 0x4000_0000
    _SHARE_ALL = 0x7  # readers, writers, and whoever gives the name to a newer file
    _CREATE_NEW = 1
    _OPEN_EXISTING = 3
    _OPEN_THE_LINK_ITSELF = 0x0020_0000  # FILE_FLAG_OPEN_REPARSE_POINT
    _FILE_OBJECT = 1  # SE_FILE_OBJECT
    _OWNER = 0x1  # OWNER_SECURITY_INFORMATION
    _LIST = 0x4  # DACL_SECURITY_INFORMATION
    _PROTECTED = 0x8000_0000  # PROTECTED_DACL_SECURITY_INFORMATION
    _OWNER_AND_LIST = _OWNER | _LIST
    _TOKEN_QUERY = 0x8
    _TOKEN_USER = 1
    _REVISION = 1  # SDDL_REVISION_1
    _NO_SUCH_ACCOUNT = 1332  # ERROR_NONE_MAPPED

    class _Attributes(ctypes.Structure):
        """`SECURITY_ATTRIBUTES`."""

        _fields_ = [
            ("length", wintypes.DWORD),
            ("descriptor", ctypes.c_void_p),
            ("inherits", wintypes.BOOL),
        ]

    _advapi = ctypes.WinDLL("advapi32", use_last_error=True)
    _kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    _kernel.CreateFileW.restype = wintypes.HANDLE
    _kernel.CreateFileW.argtypes = [
        wintypes.LPCWSTR,
        wintypes.DWORD,
        wintypes.DWORD,
        ctypes.c_void_p,
        wintypes.DWORD,
        wintypes.DWORD,
        wintypes.HANDLE,
    ]
    _kernel.CreateDirectoryW.argtypes = [wintypes.LPCWSTR, ctypes.c_void_p]
    _kernel.GetCurrentProcess.restype = wintypes.HANDLE
    _kernel.CloseHandle.argtypes = [wintypes.HANDLE]
    _kernel.LocalFree.argtypes = [ctypes.c_void_p]
    _advapi.OpenProcessToken.argtypes = [wintypes.HANDLE, wintypes.DWORD, ctypes.c_void_p]
    _advapi.GetTokenInformation.argtypes = [
        wintypes.HANDLE,
        ctypes.c_int,
        ctypes.c_void_p,
        wintypes.DWORD,
        ctypes.c_void_p,
    ]
    _advapi.ConvertSidToStringSidW.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    _advapi.ConvertStringSecurityDescriptorToSecurityDescriptorW.argtypes = [
        wintypes.LPCWSTR,
        wintypes.DWORD,
        ctypes.c_void_p,
        ctypes.c_void_p,
    ]
    _advapi.ConvertSecurityDescriptorToStringSecurityDescriptorW.argtypes = [
        ctypes.c_void_p,
        wintypes.DWORD,
        wintypes.DWORD,
        ctypes.c_void_p,
        ctypes.c_void_p,
    ]
    _advapi.GetNamedSecurityInfoW.argtypes = [
        wintypes.LPCWSTR,
        ctypes.c_int,
        wintypes.DWORD,
        *[ctypes.c_void_p] * 5,
    ]
    _advapi.GetSecurityInfo.argtypes = [
        wintypes.HANDLE,
        ctypes.c_int,
        wintypes.DWORD,
        *[ctypes.c_void_p] * 5,
    ]
    _advapi.SetFileSecurityW.argtypes = [wintypes.LPCWSTR, wintypes.DWORD, ctypes.c_void_p]
    _advapi.LookupAccountNameW.argtypes = [
        wintypes.LPCWSTR,
        wintypes.LPCWSTR,
        *[ctypes.c_void_p] * 5,
    ]

    class SystemSecurity:
        """The machine's own; see `windows_files.Calls`."""

        def __init__(self) -> None:
            self._me = _own_account()
            self._normal: dict[str, str] = {}

        def me(self) -> str:
            """The account of this process."""
            return self._me

        def account(self, name: str) -> str | None:
            """`LookupAccountName`: the sizes first, as it wants to have them."""
            size, domain_size = wintypes.DWORD(0), wintypes.DWORD(0)
            use = ctypes.c_int(0)
            sizes = ctypes.byref(size), ctypes.byref(domain_size)
            _advapi.LookupAccountNameW(
                None, name, None, sizes[0], None, sizes[1], ctypes.byref(use)
            )
            if ctypes.get_last_error() == _NO_SUCH_ACCOUNT or not size.value:
                return None
            sid = ctypes.create_string_buffer(size.value)
            domain = ctypes.create_unicode_buffer(max(1, domain_size.value))
            if not _advapi.LookupAccountNameW(
                None, name, sid, sizes[0], domain, sizes[1], ctypes.byref(use)
            ):
                return None
            return _text_of(ctypes.addressof(sid))

        def normal(self, account: str) -> str:
            """There and back, as an owner."""
            if account not in self._normal:
                owned = _Descriptor(f"O:{account}")
                self._normal[account] = _in_words(owned.address, _OWNER).removeprefix("O:")
            return self._normal[account]

        def rights(self, place: Path | int) -> str:
            """`GetSecurityInfo`, or by name."""
            found = ctypes.c_void_p()
            asked = (_FILE_OBJECT, _OWNER_AND_LIST, None, None, None, None, ctypes.byref(found))
            if isinstance(place, int):
                error = _advapi.GetSecurityInfo(msvcrt.get_osfhandle(place), *asked)
            else:
                error = _advapi.GetNamedSecurityInfoW(str(place), *asked)
            if error:
                raise ctypes.WinError(error)
            try:
                return _in_words(found.value)
            finally:
                _kernel.LocalFree(found)

        def create(self, path: Path, rights: str | None) -> int:
            """`CREATE_NEW`: nothing that lies there is ever opened."""
            given = None if rights is None else _Descriptor(rights)
            attributes = None if given is None else ctypes.byref(given.attributes)
            handle = _kernel.CreateFileW(
                str(path), _GENERIC_WRITE, _SHARE_ALL, attributes, _CREATE_NEW, 0, None
            )
            return msvcrt.open_osfhandle(_checked(handle, path), os.O_WRONLY | os.O_BINARY)

        def open(self, path: Path) -> int:
            """Shared with all, so that whoever writes a newer one is not held up."""
            flags = _OPEN_THE_LINK_ITSELF
            handle = _kernel.CreateFileW(
                str(path), _GENERIC_READ, _SHARE_ALL, None, _OPEN_EXISTING, flags, None
            )
            return msvcrt.open_osfhandle(_checked(handle, path), os.O_RDONLY | os.O_BINARY)

        def is_link(self, descriptor: int) -> bool:
            """A symbolic link, a junction, and what else the file system puts in place of files."""
            attributes = os.fstat(descriptor).st_file_attributes
            return bool(attributes & stat.FILE_ATTRIBUTE_REPARSE_POINT)

        def make_folder(self, path: Path, rights: str | None) -> None:
            """`CreateDirectory`."""
            given = None if rights is None else _Descriptor(rights)
            attributes = None if given is None else ctypes.byref(given.attributes)
            if not _kernel.CreateDirectoryW(str(path), attributes):
                raise ctypes.WinError(ctypes.get_last_error())

    def restrict(place: Path, rights: str) -> None:
        """Give what is there already these rights, and nothing that is handed down from above."""
        given = _Descriptor(rights)
        if not _advapi.SetFileSecurityW(str(place), _LIST | _PROTECTED, given.address):
            raise ctypes.WinError(ctypes.get_last_error())

    class _Descriptor:
        """A security descriptor that the system made of words; given back with this object."""

        def __init__(self, words: str) -> None:
            found = ctypes.c_void_p()
            made = _advapi.ConvertStringSecurityDescriptorToSecurityDescriptorW(
                words, _REVISION, ctypes.byref(found), None
            )
            if not made:
                raise ctypes.WinError(ctypes.get_last_error())
            self.address = found.value
            size = ctypes.sizeof(_Attributes)
            self.attributes = _Attributes(size, self.address, False)

        def __del__(self) -> None:
            if hasattr(self, "address"):
                _kernel.LocalFree(self.address)

    def _in_words(descriptor: int | None, asked: int = _OWNER_AND_LIST) -> str:
        words = ctypes.c_wchar_p()
        if not _advapi.ConvertSecurityDescriptorToStringSecurityDescriptorW(
            descriptor, _REVISION, asked, ctypes.byref(words), None
        ):
            raise ctypes.WinError(ctypes.get_last_error())
        try:
            return words.value or ""
        finally:
            _kernel.LocalFree(words)

    def _checked(handle: int | None, path: Path) -> int:
        if handle is None or handle == ctypes.c_void_p(-1).value:
            error = ctypes.WinError(ctypes.get_last_error())
            error.filename = str(path)
            raise error
        return handle

    def _own_account() -> str:
        token = wintypes.HANDLE()
        process = _kernel.GetCurrentProcess()
        if not _advapi.OpenProcessToken(process, _TOKEN_QUERY, ctypes.byref(token)):
            raise ctypes.WinError(ctypes.get_last_error())
        try:
            told = ctypes.create_string_buffer(256)
            size = wintypes.DWORD(0)
            if not _advapi.GetTokenInformation(
                token, _TOKEN_USER, told, len(told), ctypes.byref(size)
            ):
                raise ctypes.WinError(ctypes.get_last_error())
            return _text_of(ctypes.c_void_p.from_buffer(told).value)
        finally:
            _kernel.CloseHandle(token)

    def _text_of(sid: int | None) -> str:
        text = ctypes.c_wchar_p()
        if not _advapi.ConvertSidToStringSidW(sid, ctypes.byref(text)):
            raise ctypes.WinError(ctypes.get_last_error())
        try:
            return text.value or ""
        finally:
            _kernel.LocalFree(text)
