"""From the name in the owner's settings to a model that an engine may be given."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from byoi_agent.config.paths import expanded
from byoi_agent.errors import ConfigError
from byoi_agent.models import gguf
from byoi_agent.models.catalogue import CATALOGUE, ModelEntry, find
from byoi_agent.models.folders import ModelFolder, look_through
from byoi_agent.models.names import model_id, reference_of, shard_of, stem_of
from byoi_wire.ids import ModelId

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from byoi_agent.models.store import Pulled, Store, Use

_DEFAULT_CONTEXT_TOKENS: Final = 4096
"""Of a GGUF that does not say for how long a context it was made."""


@dataclass(frozen=True)
class GgufModel:
    """A model in one GGUF file, or several of which `path` is the first; all were looked through.

    Its chat template is the file's own. `use` keeps a pulled one on the disk.
    """

    id: ModelId
    path: Path
    context_tokens: int
    weight_bytes: int
    created_at: int
    architecture: str
    chat_template: str | None = None
    sampling: Mapping[str, float] = field(default_factory=dict)
    features: tuple[str, ...] = ("json_schema", "logprobs", "seed")
    use: Use | None = field(repr=False, compare=False, default=None)


Model = ModelEntry | ModelFolder | GgufModel


def resolve(name: str, store: Store, remote_code: Iterable[str] = ()) -> Model:
    """What a name means: of the catalogue, of the store, a folder, or a GGUF file.

    `remote_code` holds the models, as owner/name@commit, whose own code may run.

    Raises:
        ConfigError: it means nothing here, or must not be served; the message says what to type.
    """
    if any(entry.id == name for entry in CATALOGUE):
        return find(ModelId(name))
    if not name.startswith(("/", ".", "~")):
        if (pulled := store.find(name)) is not None:
            return _of_store(pulled, store, frozenset(remote_code))
        if reference_of(name) is not None and not _is_there(name):
            raise ConfigError(f"{name} is not here; first: byoi models pull {name}")
    if name.lower().endswith(".gguf"):
        return look_into(Path(name))
    if "/" in name or name.startswith((".", "~")) or _is_there(name):
        return look_through(Path(name))
    try:
        return find(ModelId(name))  # names the nearest that there is
    except ConfigError as error:
        raise ConfigError(f"{error} A hub's come by: byoi models pull OWNER/NAME") from error


def look_into(file: Path) -> GgufModel:
    """A GGUF file of the owner's, refused unless it is sound.

    Raises:
        ConfigError: it is not, or it is not there.
    """
    try:
        path = expanded(file)
        if not path.is_file():
            raise ConfigError(f"--model {file}: there is no such file")
        parts = _parts(path)
        sizes = [part.stat().st_size for part in parts]
        header, *_ = [gguf.read(part) for part in parts]
        architecture = str(header.metadata.get("general.architecture", ""))
        return GgufModel(
            id=model_id(stem_of(path.name)),
            path=path,
            context_tokens=header.number("context_length") or _DEFAULT_CONTEXT_TOKENS,
            weight_bytes=sum(sizes),
            created_at=int(path.stat().st_mtime),
            architecture=architecture,
        )
    except OSError as error:
        where = error.filename or file
        raise ConfigError(f"--model {file}: {where} cannot be read: {error.strerror}") from error


def again(model: GgufModel | ModelFolder) -> None:
    """Look at it again before a load, in a thread: files may have changed since it was chosen.

    Raises:
        ConfigError: it must not be served any more.
    """
    if model.use is not None:
        model.use.load()
    if isinstance(model, GgufModel):
        look_into(model.path)
    else:
        look_through(model.path, allows_code=model.runs_own_code)


def _of_store(pulled: Pulled, store: Store, remote_code: frozenset[str]) -> ModelFolder | GgufModel:
    use = store.use(pulled)
    created_at = pulled.manifest.pulled_at
    if pulled.manifest.kind == "gguf":
        return replace(look_into(pulled.path), id=pulled.id, created_at=created_at, use=use)
    allows = f"{pulled.manifest.repo}@{pulled.manifest.commit}" in remote_code
    folder = look_through(pulled.path, allows_code=allows)
    return replace(folder, id=pulled.id, created_at=created_at, use=use)


def _parts(path: Path) -> list[Path]:
    shard = shard_of(path.name)
    if shard is None:
        return [path]
    if shard[0] != 1:
        raise ConfigError(f"{path} is part {shard[0]} of {shard[1]}; name the first one")
    names = [
        path.name.replace("-00001-of-", f"-{number:05}-of-") for number in range(1, shard[1] + 1)
    ]
    return [path.with_name(name) for name in names]


def _is_there(name: str) -> bool:
    try:
        return Path(name).exists()
    except OSError:  # no file system takes such a name
        return False
