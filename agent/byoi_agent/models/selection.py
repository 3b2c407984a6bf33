"""Which files of a repository a model needs: weights that hold no code, and what goes with them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from byoi_agent.errors import ConfigError
from byoi_agent.models.names import (
    is_file_name,
    is_inside,
    quantisation_of,
    shard_of,
    stem_of,
)
from byoi_agent.sizes import on_disk

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from byoi_agent.models.digests import Algorithm

Kind = Literal["safetensors", "gguf"]

_SIDE_FILES: Final = (".json", ".txt", ".jinja", ".model", ".tiktoken")
_PICKLES: Final = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".h5", ".msgpack")
_WEIGHTS: Final = re.compile(r"model(-\d{5}-of-\d{5})?\.safetensors")
_INDEX: Final = "model.safetensors.index.json"
_SHOWN_CHOICES: Final = 40
_FILES: Final = 5000
_SIDE_FILE_BYTES: Final = 64_000_000


@dataclass(frozen=True)
class RemoteFile:
    """A file as the hub lists it. `digest` is of `algorithm`; git's covers a header of its own."""

    name: str
    size_bytes: int
    algorithm: Algorithm
    digest: str

    @classmethod
    def unwanted(cls, name: str) -> RemoteFile:
        """One that is only there, and never fetched."""
        return cls(name, 0, "length", "")


@dataclass(frozen=True)
class Selection:
    """What to fetch: `side` first, which is small and tells whether `weights` may follow.

    `entry` is the file that an engine is pointed to; for safetensors the folder's config.json.
    """

    kind: Kind
    entry: str
    side: tuple[RemoteFile, ...]
    weights: tuple[RemoteFile, ...]

    @property
    def files(self) -> tuple[RemoteFile, ...]:
        """All of it."""
        return (*self.side, *self.weights)

    @property
    def size_bytes(self) -> int:
        """On the disk."""
        return sum(file.size_bytes for file in self.files)


class NothingToServe(ConfigError):
    """A repository holds no model that may be served here; the message says what it holds."""


class WhichFile(ConfigError):
    """There are several models in a repository; `choices` are their files or quantisations."""

    def __init__(self, text: str, choices: tuple[str, ...]) -> None:
        super().__init__(text)
        self.choices = choices


def select(
    repo: str,
    listed: Iterable[RemoteFile],
    *,
    file: str | None = None,
    variant: str | None = None,
    with_code: bool = False,
) -> Selection:
    """What of a repository is needed for the model that was meant.

    Raises:
        NothingToServe: it holds none that may be served.
        WhichFile: it holds several.
        ConfigError: what it lists cannot be trusted.
    """
    files = _trusted(repo, listed)
    ggufs = _ggufs(files)
    if file is not None or variant is not None:
        return _gguf(repo, _wished(repo, ggufs, file, variant))
    if _has_safetensors(files):
        return _safetensors(repo, files, with_code=with_code)
    if not ggufs:
        raise NothingToServe(_why_nothing(repo, files))
    if len(ggufs) > 1:
        raise _which(repo, ggufs)
    return _gguf(repo, next(iter(ggufs.values())))


def is_of_use(name: str) -> bool:
    """Whether a file could be of those that are fetched."""
    return name.lower().endswith((*_SIDE_FILES, ".py", ".safetensors", ".gguf"))


def narrowed(selection: Selection, weight_map: object) -> Selection:
    """Only the weights that the model's index names, where it has one.

    Raises:
        ConfigError: it names what the repository does not hold.
    """
    if not isinstance(weight_map, dict):
        raise ConfigError(f"{_INDEX} has no weight_map; the repository is damaged")
    named = {str(value) for value in weight_map.values()}
    here = {one.name: one for one in selection.weights}
    if missing := sorted(named - set(here)):
        raise ConfigError(f"{_INDEX} names {missing[0]!r}, which the repository does not hold")
    weights = tuple(here[name] for name in sorted(named))
    return Selection(selection.kind, selection.entry, selection.side, weights)


def index_of(selection: Selection) -> RemoteFile | None:
    """The file that says which weights belong together; None for a model in one file."""
    return next((one for one in selection.side if one.name == _INDEX), None)


def _trusted(repo: str, listed: Iterable[RemoteFile]) -> dict[str, RemoteFile]:
    files: dict[str, RemoteFile] = {}
    for one in listed:
        if not is_inside(one.name):
            raise ConfigError(
                f"{repo} lists a file {one.name[:80]!r}, which would not lie in the model's "
                "folder; nothing was downloaded"
            )
        if one.name in files:
            raise ConfigError(f"{repo} lists {one.name[:80]!r} twice; nothing was downloaded")
        files[one.name] = one
    return files


def _ggufs(files: Mapping[str, RemoteFile]) -> dict[str, list[RemoteFile]]:
    """Models in GGUF, by their first file; a projector for images is none by itself."""
    found: dict[str, list[RemoteFile]] = {}
    for name in sorted(files):
        if not name.lower().endswith(".gguf") or "mmproj" in stem_of(name).lower():
            continue
        shard = shard_of(name)
        first = name if shard is None else name.replace(f"-{shard[0]:05}-of-", "-00001-of-")
        found.setdefault(first, []).append(files[name])
    return found


def _wished(
    repo: str, ggufs: Mapping[str, list[RemoteFile]], file: str | None, variant: str | None
) -> list[RemoteFile]:
    if not ggufs:
        raise NothingToServe(f"{repo} holds no GGUF file; pull it without --file or --quantisation")
    if file is not None:
        found = [first for first, parts in ggufs.items() if file in {one.name for one in parts}]
        wish = file
    else:
        wish = (variant or "").lower()
        named = [(first, (quantisation_of(first) or "").lower()) for first in ggufs]
        found = [first for first, quantisation in named if quantisation == wish]
        found = found or [first for first in ggufs if stem_of(first).lower().endswith(wish)]
    if not found:
        raise WhichFile(f"{repo} holds no {wish}; it holds: {_shown(ggufs)}", tuple(ggufs))
    if len(found) > 1:
        raise _which(repo, {first: ggufs[first] for first in found})
    return ggufs[found[0]]


def _which(repo: str, ggufs: Mapping[str, list[RemoteFile]]) -> WhichFile:
    return WhichFile(
        f"{repo} holds several models; choose one with --file NAME, or its quantisation with "
        f"--quantisation NAME: {_shown(ggufs)}",
        tuple(ggufs),
    )


def _shown(ggufs: Mapping[str, list[RemoteFile]]) -> str:
    told = [
        f"{first} ({on_disk(sum(part.size_bytes for part in parts))})"
        for first, parts in ggufs.items()
    ]
    more = len(told) - _SHOWN_CHOICES
    return ", ".join(told[:_SHOWN_CHOICES]) + (f", and {more} more" if more > 0 else "")


def _gguf(repo: str, parts: list[RemoteFile]) -> Selection:
    ordered = sorted(parts, key=lambda one: one.name)
    shard = shard_of(ordered[0].name)
    numbers = [(shard_of(one.name) or (1, 1))[0] for one in ordered]
    if numbers != list(range(1, (shard[1] if shard else 1) + 1)):
        raise ConfigError(f"{repo} does not hold all parts of {ordered[0].name}")
    return _plain(repo, Selection("gguf", ordered[0].name, (), tuple(ordered)))


def _has_safetensors(files: Mapping[str, RemoteFile]) -> bool:
    return "config.json" in files and any(
        "/" not in name and name.endswith(".safetensors") for name in files
    )


def _safetensors(repo: str, files: Mapping[str, RemoteFile], *, with_code: bool) -> Selection:
    endings = (*_SIDE_FILES, ".py") if with_code else _SIDE_FILES
    top = [one for name, one in files.items() if "/" not in name]
    side = [one for one in top if one.name.endswith(endings) and not one.name.startswith(".")]
    tensors = [one for one in top if one.name.endswith(".safetensors")]
    # Some hold the same weights a second time, for another program (consolidated.safetensors).
    weights = [one for one in tensors if _WEIGHTS.fullmatch(one.name)] or tensors
    if large := next((one for one in side if one.size_bytes > _SIDE_FILE_BYTES), None):
        raise ConfigError(f"{repo}: {large.name} is too large for a model's settings")
    return _plain(repo, Selection("safetensors", "config.json", tuple(side), tuple(weights)))


def _plain(repo: str, selection: Selection) -> Selection:
    if len(selection.files) > _FILES:
        raise ConfigError(f"{repo} is of more than {_FILES} files, so it is no model to serve")
    for one in selection.files:
        if not is_file_name(one.name):
            raise ConfigError(
                f"{repo} needs a file {one.name[:80]!r}, whose name is not taken here"
            )
    return selection


def _why_nothing(repo: str, files: Mapping[str, RemoteFile]) -> str:
    if any(name.endswith(_PICKLES) for name in files):
        return (
            f"{repo} has its weights only in a form that could hold code (.bin, .pt, .h5 …), which "
            "is never loaded here; choose one with safetensors or GGUF"
        )
    if any(name.endswith("adapter_config.json") for name in files):
        return f"{repo} is an adapter, which needs its base model; pull that one"
    return f"{repo} holds neither safetensors with a config.json nor a GGUF file"
