"""The owner's settings by the control API: shown with their sources, and changed in their file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import BaseModel, TypeAdapter, ValidationError

from byoi_agent.config.edit import set_in_table, set_value
from byoi_agent.config.rewriting import rewriting
from byoi_agent.config.settings import (
    LIVE,
    SECRETS,
    TABLES,
    Settings,
    flag_of,
    nearest,
    shown,
    variable_of,
)
from byoi_agent.control.config_words import (
    ConfigReport,
    ConfigSchema,
    SettingChange,
    SettingFact,
    SettingStatus,
)
from byoi_agent.control.routing import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from byoi_agent.config.loading import LoadedSettings
    from byoi_agent.control.schema import ReloadReport

_LISTS: Final = frozenset({"models", "remote_code", "schedule"})
"""What has a way of its own, or is the owner's word alone: code that may run."""

_PROGRAMS: Final = frozenset({"vllm_python", "cache_dir"})
"""Whoever sets these has the node run a program: an interpreter, and where engines are kept."""


@dataclass(frozen=True)
class SettingsDesk:
    """Holds nothing: `loaded` reads what a start now would find, `held` is what the node has."""

    loaded: Callable[[], LoadedSettings]
    held: Callable[[], Settings]
    reload: Callable[[], ReloadReport]
    file: Path | None

    def report(self) -> ConfigReport:
        """All of them.

        Raises:
            ConfigError: the file is wrong as it stands.
        """
        loaded, held = self.loaded(), self.held()
        return ConfigReport(
            file=None if self.file is None else str(self.file),
            settings=tuple(_status(name, loaded, held) for name in Settings.model_fields),
        )

    def one(self, name: str) -> SettingStatus:
        """One of them; raises as `report`, and Refusal 404 for a name that is none."""
        _check_name(name)
        return _status(name, self.loaded(), self.held())

    def schema(self) -> ConfigSchema:
        """What there is to be set."""
        whole = Settings.model_json_schema()
        return ConfigSchema(
            settings=tuple(_fact(name, whole) for name in Settings.model_fields),
            json_schema=whole,
        )

    def put(self, name: str, value: Any) -> SettingChange:  # noqa: ANN401 of any setting
        """Write a value into the file, or take it out with None, and have the node read it.

        `name` may be `table.name`. Comments and order of the file stay.

        Raises:
            Refusal: 404: there is no such setting; 400: the value does not fit, or is a secret.
            ConfigError: the file is wrong already or cannot be written; nothing is changed.
        """
        whole, _, part = name.partition(".")
        _check_name(whole)
        fitting = _fitting(whole, part, value)
        with rewriting(self.file) as file:
            if part:
                set_in_table(file, whole, part, fitting)
            else:
                set_value(file, whole, fitting)
            reloaded = self.reload()
        setting = self.one(whole)
        wins = setting.source if setting.source in {"flag", "environment"} else None
        return SettingChange(setting=setting, reloaded=reloaded, overruled_by=wins)


def settable() -> dict[str, str]:
    """The names that can be changed so, with what each is for; of a table each value's own."""
    told: dict[str, str] = {}
    for name, field in Settings.model_fields.items():
        if name in SECRETS | _LISTS | _PROGRAMS:
            continue
        inner = _table_of(name).model_fields if name in TABLES else {}
        told |= {f"{name}.{part}": one.description or "" for part, one in inner.items()}
        if not inner:
            told[name] = field.description or ""
    return told


def _check_name(name: str) -> None:
    if name not in Settings.model_fields:
        raise Refusal(404, f"there is no setting {name!r}{nearest(name, Settings.model_fields)}")


def _fitting(name: str, part: str, value: Any) -> Any:  # noqa: ANN401 of any setting
    """The value in its setting's own type, since forms send text."""
    if name in SECRETS:
        raise Refusal(
            400, f"{name} is a secret, which this API neither shows nor takes; use the file"
        )
    if name in _PROGRAMS:
        raise Refusal(400, f"{name} is set in the file alone; {_way_to(name)}")
    if name in _LISTS or (name in TABLES and not part):
        raise Refusal(400, f"{name} is a table; {_way_to(name)}")
    if part and name not in TABLES:
        raise Refusal(404, f"{name} is no table, so there is no {name}.{part}")
    known = _table_of(name) if part else Settings
    if part and part not in known.model_fields:
        raise Refusal(
            404, f"there is no setting '{name}.{part}'{nearest(part, known.model_fields)}"
        )
    if value is None:
        return None
    return _checked(known, part or name, f"{name}.{part}" if part else name, value)


def _checked(known: type[BaseModel], name: str, told: str, value: Any) -> Any:  # noqa: ANN401 see above
    adapter: TypeAdapter[Any] = TypeAdapter(known.model_fields[name].rebuild_annotation())
    try:
        if isinstance(value, bool):  # which would count as 1 or 0
            raise Refusal(400, f"{told}: true and false mean nothing here")
        if known is Settings:  # whose own validators say more
            Settings.model_validate({name: value})
        return adapter.dump_python(adapter.validate_python(value), mode="json")
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        raise Refusal(400, f"{told}: {fault['msg'].removeprefix('Value error, ')}") from error


def _table_of(name: str) -> type[BaseModel]:
    annotation = Settings.model_fields[name].annotation
    kinds = getattr(annotation, "__args__", (annotation,))
    return next(kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel))


def _way_to(name: str) -> str:
    if name == "models":
        return "use: byoi models serve NAME"
    if name == "schedule":
        return "use: byoi schedule for hours, byoi config edit for forecasts; or PUT /api/schedule"
    if name == "remote_code":
        return "write it into the file yourself: it lets code of others run here"
    if name in _PROGRAMS:
        return (
            "write it there yourself: it names programs that the node runs; "
            "byoi config edit, or as root where it is a service"
        )
    return f"name a value in it, like {name}.{next(iter(_table_of(name).model_fields))}"


def _status(name: str, loaded: LoadedSettings, held: Settings) -> SettingStatus:
    wanted, has = getattr(loaded.values, name), getattr(held, name)
    is_pending = wanted != has
    return SettingStatus(
        name=name,
        value=shown(name, wanted),
        source=loaded.sources[name],
        changes_at=_changes_at(name),
        holds=shown(name, has) if is_pending else None,
        is_pending=is_pending,
    )


def _fact(name: str, whole: dict[str, Any]) -> SettingFact:
    described = whole["properties"][name]
    return SettingFact(
        name=name,
        description=str(described.get("description", "")),
        type={
            key: value
            for key, value in described.items()
            if key not in {"description", "default", "title"}
        },
        default=shown(name, Settings.model_fields[name].default),
        changes_at=_changes_at(name),
        flag=None if name in TABLES else flag_of(name),
        variable=None if name in TABLES else variable_of(name),
        is_secret=name in SECRETS,
        is_settable=name not in SECRETS | _LISTS | _PROGRAMS,
    )


def _changes_at(name: str) -> Literal["reload", "restart"]:
    return "reload" if name in LIVE else "restart"
