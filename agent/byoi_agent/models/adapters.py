"""A LoRA adapter that lies in a folder: looked through before an engine may read it.

The weights are safetensors, the settings JSON, and nothing else may be there that could run. What
does not fit its base model is found here, where it costs nobody's answer.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from byoi_agent.config.paths import expanded
from byoi_agent.errors import ConfigError
from byoi_wire.ids import ModelId

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from byoi_agent.config.tables import AdapterSetting

RANKS: Final = (8, 16, 32, 64, 128, 256, 320, 512)
"""Ranks that vLLM makes room for; others get the room of the next one."""

_SETTINGS: Final = "adapter_config.json"
_WEIGHTS: Final = "adapter_model.safetensors"
_HARMLESS: Final = frozenset({".json", ".jinja", ".md", ".model", ".safetensors", ".txt"})
_JSON_LIMIT_BYTES: Final = 4_000_000
_HEADER_LIMIT_BYTES: Final = 100_000_000  # safetensors' own
_TENSOR: Final = re.compile(r".*\.(?P<module>[A-Za-z0-9_-]+)\.lora_(?P<half>[AB])\.weight")
_LAYER: Final = re.compile(r"\.layers\.(\d+)\.")
_READS_HIDDEN: Final = frozenset({"q_proj", "k_proj", "v_proj", "gate_proj", "up_proj"})
"""Modules whose input is as wide as the model itself, by the names that most models use."""


@dataclass(frozen=True)
class AdapterFolder:
    """An adapter that is safe to be loaded. `rank` is the largest of any of its modules."""

    name: ModelId
    path: Path
    rank: int
    weight_bytes: int
    created_at: int


def look_through_adapter(setting: AdapterSetting, base: Mapping[str, Any]) -> AdapterFolder:
    """Read what its folder holds, and refuse it unless it is an adapter for this base model.

    `base` is the base model's config.json.

    Raises:
        ConfigError: it is not; the message says what and where.
    """
    try:
        return _look_through(setting, base)
    except OSError as error:
        where = error.filename or setting.path
        raise ConfigError(f"{where} cannot be read: {error.strerror}") from error


def _look_through(setting: AdapterSetting, base: Mapping[str, Any]) -> AdapterFolder:
    path = expanded(setting.path)
    if not path.is_dir():
        raise ConfigError(f"{path}: there is no such folder")
    for file in sorted(path.rglob("*")):
        _check_harmless(file)
    rank = _rank_of(_settings_of(path / _SETTINGS), path / _SETTINGS)
    weights = path / _WEIGHTS
    if not weights.is_file():
        raise ConfigError(f"{path} holds no {_WEIGHTS}; other forms of weights are refused")
    for name, shape in _tensors(weights):
        _check_tensor(name, shape, base, rank, weights)
    stat = weights.stat()
    return AdapterFolder(
        name=ModelId(setting.name),
        path=path,
        rank=rank,
        weight_bytes=stat.st_size,
        created_at=int(stat.st_mtime),
    )


def _check_harmless(file: Path) -> None:
    if file.is_dir() and not file.is_symlink():
        return
    if not file.is_file():
        raise ConfigError(f"{file} is no regular file, so this adapter is not served")
    is_named_like_text = file.suffix == "" or file.name.startswith(".git")  # LICENSE, README
    if file.suffix.lower() not in _HARMLESS and not is_named_like_text:
        raise ConfigError(
            f"{file} could hold code, so this adapter is not served; "
            "keep its .safetensors and .json files only"
        )


def _settings_of(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise ConfigError(f"{file.parent} holds no {_SETTINGS}, so it is no adapter")
    if file.stat().st_size > _JSON_LIMIT_BYTES:
        raise ConfigError(f"{file} is too large for an adapter's settings")
    try:
        content = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{file} is no JSON; download the adapter again") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{file} holds no settings; download the adapter again")
    return content


def _rank_of(settings: Mapping[str, Any], file: Path) -> int:
    """The largest rank, of what is a plain LoRA adapter."""
    if settings.get("peft_type") != "LORA":
        raise ConfigError(f"{file} is of no LoRA adapter: peft_type is {_told(settings)}")
    if "auto_map" in settings:
        raise ConfigError(f"{file} asks for code of its own (auto_map), which is never run here")
    for name in ("use_dora", "lora_bias", "use_qalora", "modules_to_save"):
        if settings.get(name):
            raise ConfigError(f"{file}: no engine here serves adapters with {name}")
    pattern = settings.get("rank_pattern") or {}
    ranks = [settings.get("r"), *(pattern.values() if isinstance(pattern, dict) else (None,))]
    if not all(_is_rank(rank) for rank in ranks):
        raise ConfigError(f"{file}: the rank must be a number from 1 to {RANKS[-1]}")
    return max(rank for rank in ranks if isinstance(rank, int))


def _told(settings: Mapping[str, Any]) -> str:
    return repr(settings.get("peft_type"))[:40]


def _is_rank(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= RANKS[-1]


def _tensors(file: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes out of the header: eight bytes of length, then so much JSON."""
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        is_sane = 1 < length <= min(_HEADER_LIMIT_BYTES, file.stat().st_size)
        header = stream.read(length) if is_sane else b""
    try:
        content = json.loads(header)
        content.pop("__metadata__", None)
        found = [(name, tuple(int(n) for n in entry["shape"])) for name, entry in content.items()]
    except (ValueError, RecursionError, AttributeError, TypeError, KeyError) as error:
        message = f"{file} is damaged or no safetensors file; download it again"
        raise ConfigError(message) from error
    if not found:
        raise ConfigError(f"{file} holds no weights")
    yield from found


def _check_tensor(
    name: str, shape: tuple[int, ...], base: Mapping[str, Any], rank: int, file: Path
) -> None:
    """That it is half of a LoRA pair, of a layer that the base has, as wide as the base is."""
    found = _TENSOR.fullmatch(name)
    if found is None or len(shape) != 2:  # noqa: PLR2004 rows and columns
        raise ConfigError(f"{file}: {name[:120]} is no part of a LoRA adapter")
    own_rank, other = shape if found["half"] == "A" else shape[::-1]
    if own_rank > rank:
        raise ConfigError(f"{file}: {name[:120]} has rank {own_rank}, its settings say {rank}")
    inner = base.get("text_config")
    text = inner if isinstance(inner, dict) else base
    layers, hidden = text.get("num_hidden_layers"), text.get("hidden_size")
    layer = _LAYER.search(name)
    if layer is not None and isinstance(layers, int) and int(layer[1]) >= layers:
        raise ConfigError(f"{file} is for another base model: this one has {layers} layers")
    reads_hidden = found["half"] == "A" and found["module"] in _READS_HIDDEN
    if reads_hidden and isinstance(hidden, int) and other != hidden:
        raise ConfigError(
            f"{file} is for another base model: {found['module']} is {other} wide there, "
            f"{hidden} here"
        )
