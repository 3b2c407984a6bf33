"""Private files and folders on Windows: rights from the first moment on, and looked at before use.

By the calls themselves rather than by `icacls`: a descriptor that is given with `CreateFile` leaves
no moment in which others may open what was just made, and needs no process for each file.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from byoi_agent.config import sddl
from byoi_agent.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SERVICE: Final = "byoi"
"""The service of the whole machine; its account is byoi below NT SERVICE."""

GROUP: Final = "byoi"
"""The local group whose members may use that service's node."""

REPLACE_SECONDS: Final = 1.0
"""How long a file may be held open by its readers when a newer one takes its name."""

_LOOK_SECONDS: Final = 0.01


class Calls(Protocol):
    """What is asked of the system; each raises OSError where it fails."""

    def me(self) -> str:
        """The account of this process, as S-1-…."""
        ...

    def account(self, name: str) -> str | None:
        """A group or user of this machine, as S-1-…; None where there is none of that name."""
        ...

    def normal(self, account: str) -> str:
        """As the system writes it in rights: some accounts have two letters."""
        ...

    def rights(self, place: Path | int) -> str:
        """Owner and rights of a path, or of an open file."""
        ...

    def create(self, path: Path, rights: str | None) -> int:
        """A new file, open for writing, with these rights or those that its folder hands down."""
        ...

    def open(self, path: Path) -> int:
        """A file, for reading; a link itself rather than what it leads to."""
        ...

    def is_link(self, descriptor: int) -> bool:
        """Whether that is a link, or another thing that stands for one."""
        ...

    def make_folder(self, path: Path, rights: str | None) -> None:
        """A new folder."""
        ...


@dataclass(frozen=True)
class WindowsFiles:
    """Sole judge of who may see this node's files."""

    calls: Calls
    sleep: Callable[[float], None] = time.sleep

    def create(self, path: Path, like: Path | None = None) -> int:
        """A new file for this account alone, or with the rights that another file has."""
        if like is not None:
            rights: str | None = _list_of(self.calls.rights(like))
        else:
            rights = self._rights_below(path.parent)
        return self.calls.create(path, rights)

    def open_private(self, path: Path) -> int:
        """A file that only this account may read, for reading.

        Raises:
            FileNotFoundError: there is none.
            ConfigError: it is a link, or others may read it.
        """
        try:
            descriptor = self.calls.open(path)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise ConfigError(f"{path} cannot be read as a plain file: {error.strerror}") from error
        try:
            self._refuse_open_to_others(path, descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def make_folder(self, path: Path) -> None:
        """A folder for this account alone, with what is missing above it; one that is here is left.

        Raises:
            OSError: it cannot be made.
        """
        missing = [one for one in (path, *path.parents) if not one.exists()]
        for folder in reversed(missing):
            self.calls.make_folder(folder, self._rights_below(folder.parent))

    def refuse_foreign(self, path: Path) -> None:
        """See that nobody else owns the folder or can write to it.

        Raises:
            ConfigError: somebody does; the message says how to mend it.
        """
        rights = self.calls.rights(path)
        if sddl.owner_of(rights) not in self._trusted():
            raise ConfigError(f"the folder {path} belongs to another user; choose another one")
        if sddl.allowed(rights, sddl.WRITES) - self._trusted():
            raise ConfigError(f"others can write to the folder {path}; run: {_mend(path)}")

    def replace(self, draft: Path, path: Path) -> None:
        """Give a file the name of another: Windows refuses while somebody holds that one open."""
        for _ in range(int(REPLACE_SECONDS / _LOOK_SECONDS)):
            try:
                draft.replace(path)
            except PermissionError:
                self.sleep(_LOOK_SECONDS)
            else:
                return
        draft.replace(path)

    def _rights_below(self, folder: Path) -> str | None:
        """None where what the folder hands down is private enough: an owner's service stays in."""
        try:
            if not self._strangers(self.calls.rights(folder)):
                return None
        except OSError:  # it may be hidden from us; what is ours need not be
            pass
        return sddl.private(self.calls.me())

    def _refuse_open_to_others(self, path: Path, descriptor: int) -> None:
        if self.calls.is_link(descriptor):
            raise ConfigError(f"{path} is not a plain file; move it away")
        if self._strangers(self.calls.rights(descriptor)):
            raise ConfigError(f"{path} may be read by others; run: {_mend(path)}")

    def _strangers(self, rights: str) -> frozenset[str]:
        group = self.calls.account(GROUP)
        readers = self._trusted() | ({self.calls.normal(group)} if group else set())
        writers = sddl.allowed(rights, sddl.WRITES) - self._trusted()
        return (sddl.allowed(rights, sddl.READS) - readers) | writers

    def _trusted(self) -> frozenset[str]:
        named = {self.calls.me(), sddl.service_sid(SERVICE)}
        own = {self.calls.normal(account) for account in named}
        return frozenset({sddl.SYSTEM, sddl.ADMINISTRATORS, sddl.OWNER_RIGHTS, *own})


def _list_of(rights: str) -> str:
    """The rights without the owner: only an administrator may give a file away."""
    return rights[rights.index("D:") :] if "D:" in rights else rights


def _mend(path: Path) -> str:
    return f'icacls "{path}" /inheritance:r /grant:r "%USERNAME%:F" *S-1-5-18:F *S-1-5-32-544:F'
