"""The models that were pulled: what is here, whole and proven, who uses it, and its removal."""

from __future__ import annotations

import os
import shutil
import sys
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from byoi_agent.config.file_locks import lock
from byoi_agent.config.files import write_private
from byoi_agent.errors import AgentError, ConfigError
from byoi_agent.models.digests import digest_of
from byoi_agent.models.eviction import Kept
from byoi_agent.models.names import (
    is_commit,
    is_file_name,
    is_repo,
    model_id,
    quantisation_of,
    reference_of,
    stem_of,
)
from byoi_agent.models.wheels import bytes_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from byoi_agent.models.names import Reference
    from byoi_wire.ids import ModelId

MANIFEST: Final = "manifest.json"
FILES: Final = "files"
PARTIAL: Final = ".partial"
_WANTED: Final = "wanted-bytes"

_NOT_INHERITED: Final = getattr(os, "O_CLOEXEC", 0)  # on Windows that is so anyway
_LOOKS: Final = 20
_LOOK_SECONDS: Final = 0.01


class PulledFile(BaseModel):
    """A file as it was when it was proven."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    size_bytes: int
    algorithm: Literal["sha256", "git-sha1"]
    digest: str
    modified_ns: int


class Manifest(BaseModel):
    """What is written down beside a model's files; written last of all."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    repo: str
    commit: str
    revision: str | None = None
    hub: str
    kind: Literal["safetensors", "gguf"]
    entry: str
    files: tuple[PulledFile, ...]
    pulled_at: int
    is_pinned: bool = False


@dataclass(frozen=True)
class Pulled:
    """A model that is here. `used_at` is Unix seconds, of the pull where nothing loaded it yet."""

    key: str
    folder: Path
    manifest: Manifest
    used_at: float

    @property
    def size_bytes(self) -> int:
        """On the disk."""
        return sum(file.size_bytes for file in self.manifest.files)

    @property
    def path(self) -> Path:
        """What an engine is pointed to: the folder, or the GGUF file."""
        files = self.folder / FILES
        return files / self.manifest.entry if self.manifest.kind == "gguf" else files

    @property
    def id(self) -> ModelId:
        """What clients ask for."""
        entry, repo = self.manifest.entry, self.manifest.repo
        return model_id(stem_of(entry) if self.manifest.kind == "gguf" else repo.partition("/")[2])

    @property
    def variant(self) -> str | None:
        """The quantisation of a GGUF, or its file's name."""
        if self.manifest.kind != "gguf":
            return None
        return quantisation_of(self.manifest.entry) or stem_of(self.manifest.entry)

    @property
    def name(self) -> str:
        """What the owner calls it, in settings and commands."""
        return self.manifest.repo + (f":{self.variant}" if self.variant else "")

    def is_meant_by(self, reference: Reference) -> bool:
        """Whether it is one of those that a reference names."""
        variant, revision = reference.variant, reference.revision
        stem = stem_of(self.manifest.entry).lower()
        return (
            reference.repo.lower() == self.manifest.repo.lower()
            and (variant is None or variant.lower() in {(self.variant or "").lower(), stem})
            and (
                revision is None
                or revision == self.manifest.revision
                or (len(revision) >= 7 and self.manifest.commit.startswith(revision))  # noqa: PLR2004 as git shortens
            )
        )


class ModelInUse(AgentError):
    """A model cannot be removed now; the message says what to stop."""


class Use:
    """That this process may load a model: nobody removes it while this object is there."""

    def __init__(self, store: Store, pulled: Pulled) -> None:
        self._store = store
        self._pulled = pulled
        self._file = _use_file(pulled.folder)
        self._descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | _NOT_INHERITED, 0o600)
        if not _share(self._descriptor):
            raise ModelInUse(f"{pulled.name} is being removed; pull it again")

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)

    def load(self) -> None:
        """To be called before each load, in a thread: it may take long. The model counts as used.

        Raises:
            ConfigError: its files are not what they were when it was pulled.
        """
        self._store.prove(self._pulled)
        os.utime(self._descriptor if os.utime in os.supports_fd else self._file)


class Store:
    """Sole owner of the folder of pulled models."""

    def __init__(self, models_folder: Path) -> None:
        self.folder = models_folder / "hub"

    def all(self) -> list[Pulled]:
        """All that are whole, by name, the newest of a name first."""
        found = [one for folder in self._folders() if (one := _read(folder)) is not None]
        return sorted(found, key=lambda one: (one.name.lower(), -one.manifest.pulled_at, one.key))

    def find(self, name: str) -> Pulled | None:
        """The model of that name, the newest where there are several revisions; None if not here.

        The name is `owner/name[:variant][@revision]`, or what clients ask for.

        Raises:
            ConfigError: several models have it.
        """
        reference = reference_of(name)
        found = [
            one
            for one in self.all()
            if (one.is_meant_by(reference) if reference else one.id == name)
        ]
        names = sorted({one.name for one in found})
        if len(names) > 1:
            raise ConfigError(f"{name} may be any of {', '.join(names)}; name the one you mean")
        return max(found, key=lambda one: one.manifest.pulled_at, default=None)

    def find_all(self, name: str) -> list[Pulled]:
        """As `find`, in all the revisions that are here. Raises as `find`."""
        newest = self.find(name)
        reference = reference_of(name)
        same = [one for one in self.all() if newest is not None and one.name == newest.name]
        return [one for one in same if reference is None or one.is_meant_by(reference)]

    def use(self, pulled: Pulled) -> Use:
        """Keep it from being removed. See `Use`."""
        return Use(self, pulled)

    def is_in_use(self, pulled: Pulled) -> bool:
        """Whether a running node has it in use."""
        return _is_locked(_use_file(pulled.folder))

    def prove(self, pulled: Pulled) -> None:
        """Look whether the files are those that were proven; read whole only where one was touched.

        Raises:
            ConfigError: one is gone, or changed.
        """
        touched = False
        for file in pulled.manifest.files:
            path = pulled.folder / FILES / file.name
            try:
                stat = path.lstat()
                if (stat.st_size, stat.st_mtime_ns) == (file.size_bytes, file.modified_ns):
                    continue
                touched = True
                with path.open("rb") as stream:
                    is_same = digest_of(stream, file.algorithm, stat.st_size) == file.digest
            except OSError:
                is_same = False
            if not is_same or path.is_symlink():
                raise ConfigError(
                    f"{path} is not what was pulled any more, so {pulled.name} is not served; "
                    f"byoi models rm {pulled.name}, then pull it again"
                )
        if touched:
            _write(pulled.folder, sealed(pulled.folder, pulled.manifest))

    def by_key(self, key: str) -> Pulled | None:
        """The whole model of that folder; None if it is not here."""
        return _read(self.folder / key)

    def remove(self, pulled: Pulled, *, is_forced: bool = False) -> None:
        """Take it from the disk.

        Raises:
            ModelInUse: a node serves it, unless forced.
        """
        use = _use_file(pulled.folder)
        with use.open("a") as file:
            if not lock(file.fileno()) and not is_forced:
                raise ModelInUse(
                    f"{pulled.name} is in use by a running node; first: "
                    f"byoi models serve --stop {pulled.name}"
                )
            _discard(pulled.folder)
            if sys.platform != "win32":  # where an open file keeps its name, and stays, empty
                use.unlink(missing_ok=True)

    def remove_key(self, key: str) -> None:
        """Take a folder from the disk, whole or not, that `kept` has named as free to go."""
        folder = self.folder / key
        if (pulled := _read(folder)) is not None:
            self.remove(pulled)
        else:
            _discard(folder)

    def unfinished(self) -> list[tuple[str, int]]:
        """Models of which a part came, with its bytes; `owner/name`, as a pull of it goes on."""
        return [(_repo_of(folder), bytes_in(folder)) for folder in self._partials()]

    def remove_unfinished(self, repo: str) -> int:
        """Take what came of a model from the disk; the answer is how many parts there were.

        Raises:
            ModelInUse: it is being pulled now.
        """
        doomed = [one for one in self._partials() if _repo_of(one).lower() == repo.lower()]
        for folder in doomed:
            if _is_coming(folder):
                raise ModelInUse(f"{repo} is being pulled now; stop that first")
            _discard(folder)
        return len(doomed)

    def pin(self, pulled: Pulled, *, is_pinned: bool) -> None:
        """Keep it from being removed to make room, or let it."""
        manifest = pulled.manifest.model_copy(update={"is_pinned": is_pinned})
        _write(pulled.folder, manifest)

    def kept(self, named: frozenset[str]) -> list[Kept]:
        """All on the disk, for whoever makes room; `named` are keys that the settings name."""
        coming = []
        for one in self._partials():
            size = bytes_in(one) + _to_come(one)
            with suppress(FileNotFoundError):  # it has become whole, or was taken away
                coming.append(Kept(one.name, size, one.stat().st_mtime, _is_coming(one)))
        whole = [
            Kept(
                one.key,
                one.size_bytes,
                one.used_at,
                one.manifest.is_pinned or one.key in named or self.is_in_use(one),
            )
            for one in self.all()
        ]
        ended = {one.key + PARTIAL for one in whole}
        return [*whole, *(one for one in coming if one.key not in ended)]

    def expect(self, key: str, size_bytes: int) -> None:
        """A pull says how large its model will be, so that no other one takes that room."""
        (self.folder / (key + PARTIAL) / _WANTED).write_text(str(size_bytes))

    def to_come(self, besides: str) -> int:
        """Bytes that pulls under way will still bring, in all processes; not that of one key."""
        return sum(_to_come(one) for one in self._partials() if one.name != besides + PARTIAL)

    def _partials(self) -> list[Path]:
        return sorted(self.folder.glob(f"*{PARTIAL}"))

    def _folders(self) -> Iterator[Path]:
        for folder in self.folder.iterdir() if self.folder.is_dir() else ():
            if (folder / MANIFEST).is_file() and PARTIAL not in folder.name:
                yield folder


def sealed(folder: Path, manifest: Manifest) -> Manifest:
    """The manifest with the files' times as they are now."""
    files = tuple(
        file.model_copy(update={"modified_ns": (folder / FILES / file.name).lstat().st_mtime_ns})
        for file in manifest.files
    )
    return manifest.model_copy(update={"files": files})


def finish(folder: Path, target: Path, manifest: Manifest) -> Pulled:
    """Make a whole model of a folder whose files were all proven: all of it, or not at all."""
    _write(folder, sealed(folder, manifest))
    (folder / _WANTED).unlink(missing_ok=True)
    if target.exists():
        _discard(target)  # damaged, else it would have been found: nobody can have it in use
    folder.replace(target)
    _use_file(target).touch(mode=0o600)
    found = _read(target)
    assert found is not None, "what was just written can be read"
    return found


def _write(folder: Path, manifest: Manifest) -> None:
    write_private(folder / MANIFEST, manifest.model_dump_json(indent=1).encode())


def _read(folder: Path) -> Pulled | None:
    """None for what is no whole model of ours: somebody else's, or damaged."""
    try:
        manifest = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    except (OSError, ValidationError):
        return None
    names = (manifest.entry, *(file.name for file in manifest.files))
    if not is_repo(manifest.repo) or not is_commit(manifest.commit):
        return None
    if not all(is_file_name(name) for name in names):
        return None
    used_at = float(manifest.pulled_at)
    with suppress(OSError):
        used_at = max(used_at, _use_file(folder).stat().st_mtime)
    return Pulled(folder.name, folder, manifest, used_at)


def _lock_file(partial: Path) -> Path:
    """Held by whoever pulls it."""
    return partial.with_name(partial.name.removesuffix(PARTIAL) + ".lock")


def _is_coming(partial: Path) -> bool:
    return _is_locked(_lock_file(partial))


def _to_come(partial: Path) -> int:
    """Of one that is being pulled; nothing of one that was given up."""
    try:
        wanted = int((partial / _WANTED).read_text())
    except (OSError, ValueError):
        return 0
    return max(0, wanted - bytes_in(partial / FILES)) if _is_coming(partial) else 0


def _repo_of(folder: Path) -> str:
    return "/".join(folder.name.split("--")[:2])


def _use_file(folder: Path) -> Path:
    """Shared by all that serve from it."""
    return folder.with_name(folder.name + ".use")


def _share(descriptor: int) -> bool:
    """Have a part in a lock; whoever only looks whether there is one lets go of it at once."""
    for _ in range(_LOOKS):
        if lock(descriptor, is_shared=True):
            return True
        time.sleep(_LOOK_SECONDS)
    return False


def _is_locked(file: Path) -> bool:
    try:
        with file.open("r+") as opened:
            return not lock(opened.fileno())
    except FileNotFoundError:
        return False
    except OSError:
        return True


def _discard(folder: Path) -> None:
    """Killed here, we leave nothing that looks whole."""
    doomed = folder.with_name(f"{folder.name}{PARTIAL}-{uuid.uuid4().hex[:8]}{PARTIAL}")
    with suppress(FileNotFoundError):
        folder.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)
