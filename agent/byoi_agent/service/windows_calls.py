"""The calls into Windows' service manager, its event log, its groups and its registry."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Self

from byoi_agent.service import windows_structures as structures
from byoi_agent.service import windows_tasks
from byoi_agent.service.windows_reports import OWN_CODE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from byoi_agent.service.windows_reports import Report

if sys.platform == "win32":
    import ctypes
    import winreg
    from contextlib import suppress
    from ctypes import wintypes

    from byoi_agent.config.windows_security import SystemSecurity, restrict

    _OWN_PROCESS = 0x10
    _AUTO_START = 2
    _ERROR_NORMAL = 1
    _EVERY_RIGHT = 0xF003F  # SC_MANAGER_ALL_ACCESS
    _MAY_ASK = 0x5  # connect, enumerate
    _SERVICE_EVERY_RIGHT = 0xF01FF
    _SERVICE_MAY_ASK = 0x5  # configuration and status
    _STOP = 1
    _ABSENT = 1060  # ERROR_SERVICE_DOES_NOT_EXIST
    _RUNS_ALREADY = 1056
    _DOES_NOT_RUN = 1062
    _EXISTS = 1379  # ERROR_ALIAS_EXISTS
    _STATUS_OF_PROCESS = 0
    _EVENT_ID = 1
    # Its messages are one placeholder each, so that an event needs no library of ours to be read.
    _MESSAGES = r"%SystemRoot%\System32\EventCreate.exe"
    _EVENTS = rf"SYSTEM\CurrentControlSet\Services\EventLog\Application\{structures.NAME}"
    _RUN = r"Software\Microsoft\Windows\CurrentVersion\Run"

    class _Entry(ctypes.Structure):
        """`SERVICE_TABLE_ENTRYW`."""

        _fields_ = [("name", wintypes.LPWSTR), ("main", ctypes.c_void_p)]

    class _Group(ctypes.Structure):
        """`LOCALGROUP_INFO_1`."""

        _fields_ = [("name", wintypes.LPCWSTR), ("comment", wintypes.LPCWSTR)]

    _MAIN = ctypes.WINFUNCTYPE(None, wintypes.DWORD, ctypes.c_void_p)
    _HANDLER = ctypes.WINFUNCTYPE(
        wintypes.DWORD, wintypes.DWORD, wintypes.DWORD, ctypes.c_void_p, ctypes.c_void_p
    )
    _advapi = ctypes.WinDLL("advapi32", use_last_error=True)
    for _name in ("OpenSCManagerW", "OpenServiceW", "CreateServiceW", "RegisterEventSourceW"):
        getattr(_advapi, _name).restype = wintypes.HANDLE
    _advapi.RegisterServiceCtrlHandlerExW.restype = wintypes.HANDLE
    _advapi.SetServiceStatus.argtypes = [wintypes.HANDLE, ctypes.c_void_p]

    def _must(worked: object) -> None:
        if not worked:
            raise ctypes.WinError(ctypes.get_last_error())

    class SystemService:
        """This program as a service; see `windows_host.ServiceCalls`."""

        def __init__(self) -> None:
            self._handle: wintypes.HANDLE | None = None
            self._kept: list[object] = []  # what the system calls must not be collected
            source = _advapi.RegisterEventSourceW(None, structures.NAME)
            self._source = wintypes.HANDLE(source)

        def dispatch(self, began: Callable[[], None], control: Callable[[int, int], None]) -> None:
            """`StartServiceCtrlDispatcher`, which returns after the last report."""

            def handle(what: int, event: int, _data: object, _context: object) -> int:
                control(what, event)
                return 0

            handler = _HANDLER(handle)

            def main(_count: int, _words: object) -> None:
                found = _advapi.RegisterServiceCtrlHandlerExW(structures.NAME, handler, None)
                self._handle = wintypes.HANDLE(found)
                began()

            entry = _MAIN(main)
            table = (_Entry * 2)()
            table[0].name = structures.NAME
            table[0].main = ctypes.cast(entry, ctypes.c_void_p).value
            self._kept += [handler, entry, table]
            _must(_advapi.StartServiceCtrlDispatcherW(table))

        def report(self, report: Report) -> None:
            """`SetServiceStatus`."""
            status = structures.Status(
                _OWN_PROCESS,
                report.state,
                report.accepted,
                OWN_CODE if report.code else 0,
                report.code,
                report.checkpoint,
                int(1000 * report.wait_seconds),
            )
            if self._handle is not None:
                _advapi.SetServiceStatus(self._handle, ctypes.byref(status))

        def log(self, kind: int, text: str) -> None:
            """`ReportEvent`; a full log is no reason to end."""
            words = (wintypes.LPCWSTR * 1)(text)
            none = ctypes.c_void_p()
            _advapi.ReportEventW(self._source, kind, 0, _EVENT_ID, none, 1, 0, words, none)

    class SystemRegistration:
        """What is registered on this machine; see `windows.RegistrationCalls`."""

        def register(self, command: str) -> None:
            """Made, or changed where it is there; then all else that it is told."""
            with _Manager(_EVERY_RIGHT) as manager:
                if (service := manager.service(_SERVICE_EVERY_RIGHT)) is None:
                    service = _Handle(
                        _advapi.CreateServiceW(
                            manager.handle,
                            structures.NAME,
                            structures.DISPLAY_NAME,
                            _SERVICE_EVERY_RIGHT,
                            *(_OWN_PROCESS, _AUTO_START, _ERROR_NORMAL),
                            command,
                            *(None, None, None),
                            structures.ACCOUNT,
                            None,
                        )
                    )
                with service:
                    changes = (_OWN_PROCESS, _AUTO_START, _ERROR_NORMAL, command, None, None, None)
                    account = (structures.ACCOUNT, None, structures.DISPLAY_NAME)
                    _must(_advapi.ChangeServiceConfigW(service.handle, *changes, *account))

                    def change(level: int, told: ctypes.Structure) -> int:
                        pointer = ctypes.byref(told)
                        done = _advapi.ChangeServiceConfig2W(service.handle, level, pointer)
                        return 0 if done else ctypes.get_last_error()

                    structures.Facts().tell(change)

        def unregister(self) -> None:
            """Gone as soon as its last process and its last observer are."""
            with _Manager(_EVERY_RIGHT) as manager:
                service = manager.service(_SERVICE_EVERY_RIGHT)
                if service is not None:
                    with service:
                        _must(_advapi.DeleteService(service.handle))

        def start(self) -> None:
            """Nothing where it runs."""
            with _Manager(_EVERY_RIGHT) as manager, manager.must() as service:
                if not _advapi.StartServiceW(service.handle, 0, None):
                    self._allow(_RUNS_ALREADY)

        def stop(self) -> None:
            """Nothing where it does not run."""
            with _Manager(_EVERY_RIGHT) as manager, manager.must() as service:
                told = structures.Status()
                if not _advapi.ControlService(service.handle, _STOP, ctypes.byref(told)):
                    self._allow(_DOES_NOT_RUN)

        def look(self) -> structures.ProcessStatus | None:
            """As the manager knows it; None where there is none."""
            with _Manager(_MAY_ASK) as manager:
                if (service := manager.service(_SERVICE_MAY_ASK)) is None:
                    return None
                with service:
                    told, size = structures.ProcessStatus(), wintypes.DWORD(0)
                    _must(
                        _advapi.QueryServiceStatusEx(
                            service.handle,
                            _STATUS_OF_PROCESS,
                            ctypes.byref(told),
                            ctypes.sizeof(told),
                            ctypes.byref(size),
                        )
                    )
                    return told

        def make_group(self, name: str, comment: str) -> None:
            """A local one; nothing where it is there."""
            network = ctypes.WinDLL("netapi32")
            error = network.NetLocalGroupAdd(None, 1, ctypes.byref(_Group(name, comment)), None)
            if error not in {0, _EXISTS}:
                raise ctypes.WinError(error)

        def account(self, name: str) -> str | None:
            """Looked up, as its numbers are this machine's own."""
            return SystemSecurity().account(name)

        def give_rights(self, folder: Path, rights: str) -> None:
            """Also where it is there already, whoever made it."""
            folder.mkdir(parents=True, exist_ok=True)
            restrict(folder, rights)

        def make_event_source(self) -> None:
            """So that the event log shows our words as they are."""
            with winreg.CreateKey(winreg.HKEY_LOCAL_MACHINE, _EVENTS) as key:
                winreg.SetValueEx(key, "EventMessageFile", 0, winreg.REG_EXPAND_SZ, _MESSAGES)
                winreg.SetValueEx(key, "TypesSupported", 0, winreg.REG_DWORD, 7)

        def remove_event_source(self) -> None:
            """Events that were written stay."""
            with suppress(FileNotFoundError):
                winreg.DeleteKey(winreg.HKEY_LOCAL_MACHINE, _EVENTS)

        def start_at_logon(self, name: str, command: str) -> None:
            """For whoever logs on to this machine."""
            with winreg.CreateKey(winreg.HKEY_LOCAL_MACHINE, _RUN) as key:
                winreg.SetValueEx(key, name, 0, winreg.REG_SZ, command)

        def stop_at_logon(self, name: str) -> None:
            """From the next logon on."""
            with (
                suppress(FileNotFoundError),
                winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, _RUN, access=winreg.KEY_SET_VALUE) as key,
            ):
                winreg.DeleteValue(key, name)

        def run_every_hour(self, name: str, program: Path, arguments: str) -> None:
            """By the task scheduler."""
            windows_tasks.run_every_hour(name, program, arguments)

        def run_no_more(self, name: str) -> None:
            """One that runs now is let finish."""
            windows_tasks.run_no_more(name)

        def _allow(self, error: int) -> None:
            if ctypes.get_last_error() != error:
                raise ctypes.WinError(ctypes.get_last_error())

    class _Handle:
        def __init__(self, value: int | None) -> None:
            _must(value)
            self.handle = wintypes.HANDLE(value)

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            _advapi.CloseServiceHandle(self.handle)

    class _Manager(_Handle):
        def __init__(self, rights: int) -> None:
            super().__init__(_advapi.OpenSCManagerW(None, None, rights))

        def service(self, rights: int) -> _Handle | None:
            """None where there is none."""
            if (found := _advapi.OpenServiceW(self.handle, structures.NAME, rights)) is not None:
                return _Handle(found)
            if ctypes.get_last_error() != _ABSENT:
                raise ctypes.WinError(ctypes.get_last_error())
            return None

        def must(self) -> _Handle:
            """The service, which has to be there."""
            if (found := self.service(_SERVICE_EVERY_RIGHT)) is None:
                raise ctypes.WinError(_ABSENT)
            return found
