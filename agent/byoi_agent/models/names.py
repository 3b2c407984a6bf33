"""Names that come from outside: checked here before a path or an address is made of them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final

from byoi_agent.errors import ConfigError
from byoi_wire.ids import ModelId

_PART: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
_REFERENCE: Final = re.compile(
    rf"(?P<repo>{_PART}/{_PART})(:(?P<variant>[A-Za-z0-9][A-Za-z0-9._-]{{0,95}}))?"
    r"(@(?P<revision>[A-Za-z0-9][A-Za-z0-9._/-]{0,199}))?"
)
_FILE_PART: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+=()\[\] -]{0,150}")
_FILE_PARTS: Final = 3
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_SHARD: Final = re.compile(r"-(?P<number>\d{5})-of-(?P<count>\d{5})$")
_QUANTISATION: Final = re.compile(
    r"(?i)(?:^|[-._])((?:UD-)?(?:I?Q[1-8]_[A-Z0-9_]+|TQ[12]_0|MXFP4(?:_MOE)?|BF16|F16|F32|FP16))"
    r"(?=$|[-._])"
)
_MODEL_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,90}")


@dataclass(frozen=True)
class Reference:
    """A model of the hub as people name it: `owner/name[:variant][@revision]`.

    `variant` is a quantisation, or a word of the file that is meant where there are several.
    """

    repo: str
    variant: str | None = None
    revision: str | None = None

    def __str__(self) -> str:
        variant = f":{self.variant}" if self.variant else ""
        return self.repo + variant + (f"@{self.revision}" if self.revision else "")


def reference_of(text: str) -> Reference | None:
    """What a text means as a model of the hub; None where it cannot be one."""
    found = _REFERENCE.fullmatch(text)
    if found is None or not is_repo(found["repo"]) or ".." in (found["revision"] or ""):
        return None
    return Reference(found["repo"], found["variant"], found["revision"])


def is_repo(text: str) -> bool:
    """Whether a hub could have a repository of that name.

    A hub allows no two dashes or dots in a row either: two dashes divide the names of our folders.
    """
    owner, _, name = text.partition("/")
    fits = all(re.fullmatch(_PART, part) for part in (owner, name))
    return fits and "--" not in text and ".." not in text and not name.endswith((".git", "."))


def is_commit(text: object) -> bool:
    """Whether it is a whole commit's name."""
    return isinstance(text, str) and _COMMIT.fullmatch(text) is not None


def is_inside(name: str) -> bool:
    """Whether a file's name in a repository stays in the folder that it is put into."""
    parts = name.split("/")
    return (
        "\\" not in name
        and ":" not in name
        and name.isprintable()
        and all(part not in {"", ".", ".."} for part in parts)
    )


def is_file_name(name: str) -> bool:
    """Whether a file of that name may be made: short, and of plain characters."""
    parts = name.split("/")
    return (
        is_inside(name)
        and len(parts) <= _FILE_PARTS
        and all(_FILE_PART.fullmatch(part) and not part.endswith(" ") for part in parts)
    )


def folder_key(repo: str, commit: str, kind: str, entry: str) -> str:
    """The name of the folder of one pulled model.

    Raises:
        ConfigError: it cannot be built of these.
    """
    if not is_repo(repo) or not is_commit(commit) or not is_file_name(entry):
        raise ConfigError(f"{repo}@{commit} ({entry}) is no name of a model")
    tag = kind if kind == "safetensors" else hashlib.sha256(entry.encode()).hexdigest()[:12]
    return f"{repo.replace('/', '--')}--{commit[:12]}--{tag}"


def stem_of(file: str) -> str:
    """A weights file's name without its folder, its ending, and its number among several."""
    base = file.rpartition("/")[2]
    stem = base.rpartition(".")[0] or base
    return _SHARD.sub("", stem)


def shard_of(file: str) -> tuple[int, int] | None:
    """Which of how many files of one model it is; None for a model in one file."""
    found = _SHARD.search(file.rpartition(".")[0])
    return (int(found["number"]), int(found["count"])) if found else None


def quantisation_of(file: str) -> str | None:
    """How a GGUF's weights are packed, as its name says; None where it does not."""
    found = _QUANTISATION.findall(stem_of(file))
    return found[-1].upper() if found else None


def model_id(name: str) -> ModelId:
    """What clients ask for.

    Raises:
        ConfigError: no client could ask for that.
    """
    if not _MODEL_ID.fullmatch(name):
        raise ConfigError(f"{name!r} is no name that a client can ask for; rename it")
    return ModelId(name)
