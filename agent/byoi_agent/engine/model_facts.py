"""From a model on the disk to what the planner needs to know of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from byoi_agent.errors import ConfigError
from byoi_agent.models import gguf, headers
from byoi_agent.models.names import shard_of
from byoi_agent.planning.facts import ModelFacts, from_config, from_safetensors
from byoi_agent.planning.gguf_facts import from_gguf
from byoi_agent.planning.tensors import Tensor

if TYPE_CHECKING:
    from pathlib import Path


def facts_at(path: Path, name: str | None = None, quantisation: str | None = None) -> ModelFacts:
    """Of a folder with a config.json, with or without weights beside it, or of a GGUF file.

    `quantisation` asks what it would take if it were packed so, whatever its files weigh.

    Raises:
        ConfigError: there is nothing to reckon with, or it is damaged; names what.
    """
    if path.suffix.lower() == ".gguf":
        return _of_gguf(path, name or path.stem)
    folder = path.parent if path.name == headers.CONFIG else path
    name = name or folder.absolute().name
    if not folder.is_dir():
        raise ConfigError(f"{path}: there is no such folder, nor such a file")
    config = headers.config_in(folder)
    tensors = headers.tensors_in(folder) if quantisation is None else ()
    if tensors:
        told = [Tensor(one.name, one.dtype, one.shape, one.size_bytes) for one in tensors]
        return from_safetensors(name, config, told)
    if config is not None:
        return from_config(name, config, quantisation)
    files = sorted(folder.glob("*.gguf"))
    if len(files) == 1 or (files and shard_of(files[0].name) is not None):
        return _of_gguf(files[0], name)
    raise ConfigError(f"{folder} holds neither a config.json nor safetensors nor one GGUF file")


def _of_gguf(path: Path, name: str) -> ModelFacts:
    heads = [gguf.read(part) for part in _parts(path)]
    tensors = [
        Tensor(one.name, one.type_name, one.shape, one.size_bytes)
        for head in heads
        for one in head.tensors
    ]
    return from_gguf(name, heads[0].metadata, tensors)


def _parts(path: Path) -> list[Path]:
    shard = shard_of(path.name)
    if shard is None:
        return [path]
    stem = path.name.rpartition(f"-{shard[0]:05}-of-")[0]
    count = shard[1]
    return [
        path.with_name(f"{stem}-{number:05}-of-{count:05}.gguf") for number in range(1, count + 1)
    ]
