"""Reads the signed index of releases: The Update Framework, from the root that was installed."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from tuf.api import exceptions as tuf_says
from tuf.ngclient.config import UpdaterConfig
from tuf.ngclient.updater import Updater

from byoi_agent.config.addresses import without_secrets
from byoi_agent.errors import AgentError
from byoi_agent.sizes import on_disk
from byoi_agent.update.policy import Offered, Range, sort_key

if TYPE_CHECKING:
    from pathlib import Path

    from tuf.api.metadata import TargetFile
    from tuf.ngclient.fetcher import FetcherInterface

Ring = Literal["stable", "beta"]

SMALL_BYTES: Final = 64 * 1024
LARGEST_BYTES: Final = 4 * 1024**3
_ROOM: Final = 4
"""A release takes so many times its size: as it comes, kept, unpacked, and as an environment."""

_CONFIG: Final = UpdaterConfig(
    max_root_rotations=64,
    root_max_length=512_000,
    timestamp_max_length=16_384,
    snapshot_max_length=1_000_000,
    targets_max_length=4_000_000,
)
_MACHINES: Final = {"amd64": "x86_64", "x86_64": "x86_64", "arm64": "aarch64", "aarch64": "aarch64"}
_DEBIAN: Final = {"x86_64": "amd64", "aarch64": "arm64"}

_Number = Annotated[int, Field(ge=0, le=1_000_000)]


class IndexTrouble(AgentError):
    """The index cannot be used now; nothing is changed by it."""

    exit_code = 69


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class _Span(_Part):
    min: _Number
    max: _Number


class RingFile(_Part):
    """`rings/NAME.json`: which version a ring is at, and for which share of the nodes."""

    schema_: Literal[1] = Field(alias="schema")
    version: str = Field(max_length=40)
    rollout: float = Field(default=1.0, ge=0, le=1)


class ReleaseFile(_Part):
    """`releases/VERSION/release.json`: what a version can, and its files by platform."""

    schema_: Literal[1] = Field(alias="schema")
    version: str = Field(max_length=40)
    protocol: _Span
    state_schema: _Span
    settings_schema: _Number = 1
    files: dict[str, str] = Field(default_factory=dict, max_length=64)


_Model = TypeVar("_Model", bound=_Part)


class Index:
    """One look at the index: every file of it belongs to the same moment.

    `metadata` remembers what was seen, so that an older index is refused later on; only whoever may
    install can write there. `downloads` takes what is fetched.
    """

    def __init__(self, source: str, root: bytes, folder: Path, fetcher: FetcherInterface) -> None:
        self.source = source.rstrip("/")
        self._downloads = folder / "downloads"
        metadata = folder / "metadata"
        for each in (self._downloads, metadata):
            each.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            self._updater = Updater(
                str(metadata),
                f"{self.source}/metadata/",
                str(self._downloads),
                f"{self.source}/targets/",
                fetcher,
                _CONFIG,
                bootstrap=root,
            )
        except tuf_says.RepositoryError as error:
            raise IndexTrouble(
                f"the keys that this installation came with cannot be used: {error}"
            ) from error

    def offered(self, ring: Ring) -> Offered:
        """The release that a ring is at.

        Raises:
            IndexTrouble: the index cannot be reached, is not signed as it must be, is older than
                one that was seen, has expired, or says what it may not; the message says which.
        """
        found = self._small(f"rings/{ring}.json", RingFile)
        release = self.release(found.version)
        return Offered(
            version=release.version,
            protocol=Range(release.protocol.min, release.protocol.max),
            state_schema=Range(release.state_schema.min, release.state_schema.max),
            rollout=found.rollout,
            settings_schema=release.settings_schema,
        )

    def named(self, version: str) -> Offered:
        """The release of that version. Raises as `offered`."""
        release = self.release(version)
        return Offered(
            version=version,
            protocol=Range(release.protocol.min, release.protocol.max),
            state_schema=Range(release.state_schema.min, release.state_schema.max),
            settings_schema=release.settings_schema,
        )

    def release(self, version: str) -> ReleaseFile:
        """What a version can. Raises as `offered`."""
        try:
            sort_key(version)
        except ValueError as error:
            raise IndexTrouble(str(error)) from error
        release = self._small(f"releases/{version}/release.json", ReleaseFile)
        if release.version != version:
            raise IndexTrouble(f"the index says {release.version} where {version} was asked for")
        return release

    def fetch(self, version: str, kind: str) -> Path:
        """A version's file for this kind of machine, checked; raises as `offered` too."""
        path = self.release(version).files.get(kind)
        if path is None:
            raise IndexTrouble(f"{version} was not made for this kind of machine ({kind})")
        target = self._found(path, LARGEST_BYTES)
        name = path.rpartition("/")[2]
        if name in {"", ".", ".."} or os.sep in name:
            raise IndexTrouble(f"the index names a file {path!r}")
        place = self._downloads / name
        if kept := self._updater.find_cached_target(target, str(place)):
            assert kept == str(place)
            return place
        self._check_room(target)
        draft = self._downloads / f"{name}.partial"
        try:
            self._updater.download_target(target, str(draft))
        except (tuf_says.RepositoryError, tuf_says.DownloadError) as error:
            draft.unlink(missing_ok=True)
            raise self._trouble(error) from error
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.replace(place)
        return place

    def _small(self, path: str, model: type[_Model]) -> _Model:
        target = self._found(path, SMALL_BYTES)
        place = self._downloads / f"{path.replace('/', '-')}"
        try:
            self._updater.download_target(target, str(place))
            return model.model_validate_json(place.read_bytes())
        except (tuf_says.RepositoryError, tuf_says.DownloadError) as error:
            raise self._trouble(error) from error
        except ValidationError as error:
            first = error.errors()[0]["msg"]
            raise IndexTrouble(f"{path} of the index is not what it should be: {first}") from error
        finally:
            place.unlink(missing_ok=True)

    def _found(self, path: str, limit_bytes: int) -> TargetFile:
        try:
            target = self._updater.get_targetinfo(path)
        except (tuf_says.RepositoryError, tuf_says.DownloadError, ValueError) as error:
            raise self._trouble(error) from error
        if target is None:
            raise IndexTrouble(without_secrets(f"the index at {self.source} has no {path}"))
        if target.length > limit_bytes:
            raise IndexTrouble(f"{path} of the index is too large: {target.length} bytes")
        return target

    def _check_room(self, target: TargetFile) -> None:
        free = shutil.disk_usage(self._downloads).free
        if free < target.length * _ROOM:
            raise IndexTrouble(
                f"an update takes {on_disk(target.length * _ROOM)} below {self._downloads}, "
                f"and {on_disk(free)} are free; make room there"
            )

    def _trouble(self, error: Exception) -> IndexTrouble:
        where = f"the index at {self.source}"
        match error:
            case tuf_says.ExpiredMetadataError():
                told = (
                    f"{where} has expired: nobody has signed it anew in time, or somebody keeps "
                    "the new one from this machine; also look at this machine's clock"
                )
            case tuf_says.BadVersionNumberError():
                told = f"{where} is older than what was seen before, and is not believed: {error}"
            case tuf_says.UnsignedMetadataError():
                told = f"{where} is not signed by those who may sign it, and is not believed"
            case tuf_says.LengthOrHashMismatchError() | tuf_says.DownloadLengthMismatchError():
                told = f"{where} sends something else than it has signed for: {error}"
            case tuf_says.SlowRetrievalError():
                told = f"{where} is too slow or does not answer: {error}"
            case tuf_says.DownloadHTTPError():
                told = f"{where} lacks a file: {error}"
            case tuf_says.DownloadError():
                told = f"{where} cannot be reached: {error}; is this machine online?"
            case _:
                told = f"{where} cannot be used: {error}"
        return IndexTrouble(without_secrets(told))


def kind_of_file(installation: str, *, system: str = sys.platform, machine: str = "") -> str:
    """The name that a release's file for this machine has, like `deb-amd64` or `linux-x86_64`."""
    bare = (machine or platform.machine()).lower()
    processor = _MACHINES.get(bare, bare)
    if installation == "deb":
        return f"deb-{_DEBIAN.get(processor, processor)}"
    if system == "darwin":
        return f"macos-{'arm64' if processor == 'aarch64' else processor}"
    return f"{'windows' if system == 'win32' else 'linux'}-{processor}"
