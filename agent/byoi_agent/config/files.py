"""Files that hold secrets or state: private, whole or not there at all, never through a link."""

from __future__ import annotations

import os
import secrets
import stat
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from byoi_agent.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

if sys.platform == "win32":
    from byoi_agent.config.windows_files import WindowsFiles
    from byoi_agent.config.windows_security import SystemSecurity

    _windows: Final = WindowsFiles(SystemSecurity())

_FILE_MODE: Final = 0o600
_FOLDER_MODE: Final = 0o700


def write_private(path: Path, data: bytes) -> None:
    """Put `data` at `path` so that a reader, also after a crash, sees the old or the new whole.

    The file is readable by its owner only. A link at `path` is replaced, never followed.
    """
    _write_whole(path, data, None)


def rewrite(path: Path, data: bytes) -> None:
    """As `write_private`, for a file that the owner made: a link is followed, rights are kept.

    Where there is no such file yet, the new one is readable by its owner only.
    """
    target = path.resolve()
    _write_whole(target, data, target if target.exists() else None)


def _write_whole(path: Path, data: bytes, like: Path | None) -> None:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    descriptor = _create(draft, like)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if like is not None:
                _become_like(file.fileno(), like)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def read_private(path: Path) -> bytes:
    """The contents of a file that only its owner may read.

    Raises:
        FileNotFoundError: there is none.
        ConfigError: it is a link, or others may read it; the message says how to mend it.
    """
    with os.fdopen(_open_private(path), "rb") as file:
        return file.read()


def check_can_be_made(flag: str, file: Path) -> None:
    """Refuse early a file that is to be written much later.

    Raises:
        ConfigError: its folder is not there, or not to be written to, or it is a folder itself;
            `flag` named it.
    """
    if file.is_dir():
        raise ConfigError(f"{flag}: {file} is a folder; name a file in it")
    folder = file.absolute().parent
    if not folder.is_dir():
        raise ConfigError(f"{flag}: there is no folder {folder}")
    if not os.access(folder, os.W_OK):
        raise ConfigError(f"{flag}: the folder {folder} cannot be written to")


def make_private_folder(path: Path) -> None:
    """Make a folder of our own, or accept one that nobody else can write to.

    Raises:
        ConfigError: it cannot be made, or another user owns it or can write to it.
    """
    try:
        _make_folder(path)
        facts = path.lstat()
    except OSError as error:
        raise ConfigError(f"the folder {path} cannot be made: {error.strerror}") from error
    if not stat.S_ISDIR(facts.st_mode) and not path.is_dir():
        raise ConfigError(f"{path} is not a folder; choose another one")
    _refuse_foreign(path)


if sys.platform == "win32":

    def _create(draft: Path, like: Path | None) -> int:
        return _windows.create(draft, like)

    def _become_like(descriptor: int, like: Path) -> None:
        """It is made so."""

    def _open_private(path: Path) -> int:
        return _windows.open_private(path)

    def _replace(draft: Path, path: Path) -> None:
        _windows.replace(draft, path)

    def _make_folder(path: Path) -> None:
        _windows.make_folder(path)

    def _refuse_foreign(path: Path) -> None:
        _windows.refuse_foreign(path)

    def _sync_folder(folder: Path) -> None:
        """Windows cannot open a folder; its rename is journalled."""

else:

    def _create(draft: Path, like: Path | None) -> int:  # noqa: ARG001 see `_become_like`
        return os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, _FILE_MODE)

    def _become_like(descriptor: int, like: Path) -> None:
        facts = like.stat()
        with suppress(PermissionError):  # only root may give a file away; it must not keep it
            os.fchown(descriptor, facts.st_uid, facts.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(facts.st_mode))

    def _open_private(path: Path) -> int:
        try:
            # Root reads files of the service's account: a pipe in their place must not hold it up.
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise ConfigError(f"{path} cannot be read as a plain file: {error.strerror}") from error
        try:
            _refuse_open_to_others(path, os.fstat(descriptor).st_mode)
        except ConfigError:
            os.close(descriptor)
            raise
        return descriptor

    def _refuse_open_to_others(path: Path, mode: int) -> None:
        if not stat.S_ISREG(mode):
            raise ConfigError(f"{path} is not a plain file; move it away")
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ConfigError(f"{path} may be read by others; run: chmod 600 {path}")

    def _replace(draft: Path, path: Path) -> None:
        draft.replace(path)

    def _make_folder(path: Path) -> None:
        path.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)

    def _refuse_foreign(path: Path) -> None:
        facts = path.stat()
        if facts.st_uid not in {os.geteuid(), 0}:  # root may look as the service's account
            raise ConfigError(f"the folder {path} belongs to another user; choose another one")
        if facts.st_mode & stat.S_IWOTH:
            raise ConfigError(f"anybody can write to the folder {path}; run: chmod 700 {path}")

    def _sync_folder(folder: Path) -> None:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
