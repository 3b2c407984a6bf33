"""A model that lies in a folder of the owner's: looked through before an engine may read it.

Weights as safetensors only, and nothing that could run: an engine's own switch against a model's
code has failed before (CVE-2026-22807, CVE-2026-27893), so we look for ourselves.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from byoi_agent.config.paths import expanded
from byoi_agent.errors import ConfigError
from byoi_agent.models import safetensors
from byoi_wire.ids import ModelId

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from byoi_agent.models.store import Use

_REFUSED: Final = frozenset(
    {".bin", ".ckpt", ".h5", ".joblib", ".msgpack", ".npy", ".npz", ".onnx", ".pickle", ".pkl"}
    | {".pt", ".pth", ".py", ".pyc", ".so", ".sh", ".tar", ".zip"}
)
_JSON_LIMIT_BYTES: Final = 64_000_000
_CONTEXT_FIELDS: Final = (
    *("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "model_max_length"),
    *("max_sequence_length", "max_seq_length", "seq_len"),
)
_UNTOLD_CONTEXT_TOKENS: Final = 2048
"""What vLLM takes, as the fields above, where config.json tells nothing (vllm/config/model.py)."""
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,90}")
_SNAPSHOT: Final = re.compile(r"models--(?P<owner>[^/]+)--(?P<name>[^/]+)")


@dataclass(frozen=True)
class ModelFolder:
    """A model that is safe to be loaded. `weight_bytes` is what its safetensors files weigh.

    `runs_own_code` says that the owner has named it as one whose code may run; `use` keeps a pulled
    one on the disk.
    """

    id: ModelId
    path: Path
    context_tokens: int
    weight_bytes: int
    created_at: int
    config: Mapping[str, Any] = field(repr=False, default_factory=dict)
    runs_own_code: bool = False
    use: Use | None = field(repr=False, compare=False, default=None)

    @property
    def architectures(self) -> tuple[str, ...]:
        """As config.json names them."""
        given = self.config.get("architectures")
        return tuple(str(name) for name in given) if isinstance(given, list) else ()


def look_through(folder: Path, *, allows_code: bool = False) -> ModelFolder:
    """Read what the folder holds, and refuse it unless it is a model and nothing but a model.

    `allows_code` is for the one model whose code, at one commit, the owner has allowed by name.

    Raises:
        ConfigError: it is not; the message names the file and what to do.
    """
    try:
        return _look_through(folder, allows_code=allows_code)
    except OSError as error:
        where = error.filename or folder
        raise ConfigError(f"--model {folder}: {where} cannot be read: {error.strerror}") from error


def _look_through(folder: Path, *, allows_code: bool) -> ModelFolder:
    path = expanded(folder)
    if not path.is_dir():
        raise ConfigError(f"--model {folder}: there is no such folder")
    config: dict[str, Any] | None = None
    weight_bytes = 0
    for file in _files(path):
        if file.suffix.lower() in _REFUSED and not (allows_code and file.suffix == ".py"):
            raise ConfigError(
                f"{file} could hold code, so this model is not served; "
                "keep its .safetensors and .json files only"
            )
        if file.suffix == ".safetensors":
            safetensors.read(file)
            weight_bytes += file.stat().st_size
        elif file.suffix == ".json":
            content = settings_in(file, allows_code=allows_code)
            config = content if file == path / "config.json" else config
    if config is None:
        raise ConfigError(f"{path} holds no config.json, so it is no model that vLLM can load")
    if not weight_bytes:
        raise ConfigError(f"{path} holds no .safetensors file; other forms of weights are refused")
    return ModelFolder(
        id=_name_of(path),
        path=path,
        context_tokens=_context_of(config),
        weight_bytes=weight_bytes,
        created_at=int((path / "config.json").stat().st_mtime),
        config=config,
        runs_own_code=allows_code,
    )


def _files(path: Path) -> Iterator[Path]:
    for entry in sorted(path.rglob("*")):
        if entry.is_symlink() and not entry.exists():
            raise ConfigError(f"{entry} points nowhere; download the model again")
        if entry.is_symlink() and not _stays(entry, path):
            raise ConfigError(f"{entry} points out of the model's folder, so it is not served")
        if entry.is_file():
            yield entry
        elif not entry.is_dir():
            raise ConfigError(f"{entry} is no regular file, so this model is not served")
        elif entry.is_symlink():
            raise ConfigError(f"{entry} points to another folder, so this model is not served")


def _stays(link: Path, path: Path) -> bool:
    """Whether it leads to the model's own folder, or to where Hugging Face's cache puts content."""
    target, own = link.resolve(), path.resolve()
    if link.is_dir():
        return True  # refused below, in other words
    blobs = own.parents[1] / "blobs"
    is_snapshot = own.parent.name == "snapshots" and _SNAPSHOT.fullmatch(own.parents[1].name)
    return target.is_relative_to(own) or bool(is_snapshot and target.parent == blobs)


def settings_in(file: Path, *, allows_code: bool = False) -> dict[str, Any]:
    """What a JSON file of a model says, unless it asks for code or for another model.

    Raises:
        ConfigError: it does, or is damaged.
    """
    content = _json_of(file)
    _refuse_code(content, file, allows_code=allows_code)
    return content


def _json_of(file: Path) -> dict[str, Any]:
    if file.stat().st_size > _JSON_LIMIT_BYTES:
        raise ConfigError(f"{file} is too large for a model's settings")
    try:
        content = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{file} is no JSON; download the model again") from error
    if not isinstance(content, dict) and file.name == "config.json":
        raise ConfigError(f"{file} is no object, so it describes no model; download it again")
    return content if isinstance(content, dict) else {}


def _refuse_code(content: Mapping[str, Any], file: Path, *, allows_code: bool) -> None:
    # Nested too: a processor's or a sub-model's settings are read as well.
    waiting: list[object] = [content]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            if "auto_map" in one and not (allows_code and _is_own_code(one["auto_map"])):
                raise ConfigError(
                    f"{file} asks for code of the model's own (auto_map), which is never run here; "
                    "choose a model that vLLM knows by itself"
                )
            if "speculators_config" in one:
                raise ConfigError(
                    f"{file} names another model for vLLM to load (speculators_config), which "
                    "nobody has looked through; choose a model that is whole by itself"
                )
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one


def _is_own_code(auto_map: object) -> bool:
    """Whether all of it lies in the model's own folder: two dashes name another repository's."""
    return "--" not in json.dumps(auto_map)


def _name_of(path: Path) -> ModelId:
    """The folder's name; for a snapshot in Hugging Face's cache the repository's."""
    snapshots = (_SNAPSHOT.fullmatch(parent.name) for parent in path.parents)
    name = next((found["name"] for found in snapshots if found is not None), path.name)
    if not _ID.fullmatch(name):
        raise ConfigError(f"{name!r} is no name that a client can ask for; rename the folder")
    return ModelId(name)


def _context_of(config: Mapping[str, Any]) -> int:
    """The longest context that the model was made for, in tokens."""
    text = config.get("text_config")
    for place in (config, text if isinstance(text, dict) else {}):
        for name in _CONTEXT_FIELDS:
            value = place.get(name)
            if type(value) is int and value > 0:
                return value
    return _UNTOLD_CONTEXT_TOKENS
