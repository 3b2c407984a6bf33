"""What a model's files say of themselves, for reckoning: settings and heads, never the weights.

Nothing here is served, so that a folder needs neither to be whole nor to be safe; only to be read
safely.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from byoi_agent.errors import ConfigError
from byoi_agent.models import safetensors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from byoi_agent.models.safetensors import Tensor

CONFIG: Final = "config.json"

_CONFIG_LIMIT_BYTES: Final = 16_000_000
_INDEX_LIMIT_BYTES: Final = 64_000_000
_INDEX: Final = "model.safetensors.index.json"
_FILES_AT_MOST: Final = 2000


def config_in(folder: Path) -> Mapping[str, Any] | None:
    """The model's own settings; None where the folder has none.

    Raises:
        ConfigError: they cannot be read, or are no JSON object.
    """
    file = folder / CONFIG
    return _object(file, _CONFIG_LIMIT_BYTES) if file.is_file() else None


def tensors_in(folder: Path) -> tuple[Tensor, ...]:
    """The tensors of all its safetensors files by their heads; of those its index names, if any.

    Raises:
        ConfigError: a file is damaged, or cannot be read.
    """
    found: dict[str, Tensor] = {}
    for file in _files(folder):
        for tensor in safetensors.read(file):
            found.setdefault(tensor.name, tensor)
    return tuple(found.values())


def _files(folder: Path) -> list[Path]:
    index = folder / _INDEX
    if index.is_file():
        table = _object(index, _INDEX_LIMIT_BYTES).get("weight_map")
        names = set(table.values()) if isinstance(table, dict) else set()
        # An index is somebody's text: a name with a folder in it could lead anywhere.
        files = sorted(folder / name for name in names if isinstance(name, str) and "/" not in name)
        return [file for file in files if file.is_file()]
    try:
        whole = sorted(file for file in folder.glob("*.safetensors") if file.is_file())
    except OSError as error:
        raise ConfigError(f"{folder} cannot be read: {error.strerror}") from error
    # Mistral's repositories hold all weights twice, the second time under this name.
    once = [file for file in whole if not file.name.startswith("consolidated")]
    return (once or whole)[:_FILES_AT_MOST]


def _object(file: Path, limit_bytes: int) -> Mapping[str, Any]:
    try:
        if file.stat().st_size > limit_bytes:
            raise ConfigError(f"{file} is too large for what it should be")
        content = json.loads(file.read_bytes())
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{file} is no JSON; download the model again") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{file} is no JSON object; download the model again")
    return content
