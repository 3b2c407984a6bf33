"""The owner's settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from byoi_agent.control.config_words import (
    ConfigReport,
    ConfigSchema,
    SettingChange,
    SettingOrder,
    SettingStatus,
)
from byoi_agent.control.routing import Asked, Nothing, Refuses, Route, Routes
from byoi_agent.errors import ConfigError

if TYPE_CHECKING:
    from byoi_agent.control.settings_desk import SettingsDesk

_WRONG: Final = Refuses(409, "the file is wrong as it stands, or cannot be written", ConfigError)
_UNKNOWN: Final = Refuses(404, "there is no such setting; the nearest name is told")


def add(routes: Routes, service: SettingsDesk) -> None:
    """To see them, and to change one."""

    async def show(_asked: Asked[Nothing]) -> ConfigReport:
        return service.report()

    async def schema(_asked: Asked[Nothing]) -> ConfigSchema:
        return service.schema()

    async def one(asked: Asked[Nothing]) -> SettingStatus:
        return service.one(asked.names["name"])

    async def put(asked: Asked[SettingOrder]) -> SettingChange:
        return service.put(asked.names["name"], asked.what.value)

    for route in (
        Route(
            "GET",
            "/api/config",
            show,
            "Each setting's value, who set it, and what holds.",
            Nothing,
            ConfigReport,
            refuses=(_WRONG,),
        ),
        Route(
            "GET",
            "/api/config/schema",
            schema,
            "What settings there are, and the JSON Schema of the configuration file.",
            Nothing,
            ConfigSchema,
        ),
        Route(
            "GET",
            "/api/config/{name}",
            one,
            "One setting.",
            Nothing,
            SettingStatus,
            refuses=(_UNKNOWN, _WRONG),
        ),
        Route(
            "PUT",
            "/api/config/{name}",
            put,
            "Write a setting (or `table.setting`) into the configuration file, and have the node "
            "read it; comments stay, and what the node refuses is taken back.",
            SettingOrder,
            SettingChange,
            expects='the body is {"value": …}; null takes the setting out of the file',
            refuses=(Refuses(400, "the value does not fit, or is a secret"), _UNKNOWN, _WRONG),
        ),
    ):
        routes.add(route)
