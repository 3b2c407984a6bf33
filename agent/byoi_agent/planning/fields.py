"""The fields of somebody's config.json, read with distrust: kind, sign and size are checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from byoi_agent.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

LARGEST: Final = 10**8
"""No size of a model is larger; a file that says so is damaged, or wants us to count for ever."""


class UnfitModel(ConfigError):
    """A model's own description cannot be planned with; the message names the field or family."""


class Fields:
    """One object of a config.json. `defaults` is what the family's code takes where it is silent.

    Of several names the first that is given counts: families call the same thing differently.
    """

    def __init__(
        self, config: Mapping[str, Any], defaults: Mapping[str, Any] | None = None
    ) -> None:
        self._config = {**(defaults or {}), **_given(config)}

    def has(self, *names: str) -> bool:
        """Whether one of them is given, and not null."""
        return self._value(names) is not None

    def count(self, *names: str, default: int | None = None) -> int:
        """A whole number, at least 0.

        Raises:
            UnfitModel: it is none, or not there and without a default.
        """
        value = self._value(names)
        if value is None and default is not None:
            return default
        if value is None:
            raise UnfitModel(f"config.json has no {names[0]!r}, so the model cannot be reckoned")
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LARGEST:
            raise UnfitModel(f"config.json: {names[0]!r} is {_shown(value)}, which is no size")
        return value

    def size(self, *names: str, default: int | None = None) -> int:
        """A whole number, at least 1.

        Raises:
            UnfitModel: it is none.
        """
        found = self.count(*names, default=default)
        if found == 0:
            raise UnfitModel(f"config.json: {names[0]!r} is 0, which is no size")
        return found

    def maximum(self, *names: str, default: int | None = None) -> int:
        """As `count`, or the largest of a list that has one for each layer.

        Raises:
            UnfitModel: one of them is no size.
        """
        value = self._value(names)
        if not isinstance(value, list):
            return self.count(*names, default=default)
        return max((Fields({names[0]: one}).count(names[0]) for one in value), default=default or 0)

    def is_exactly(self, name: str, value: int) -> bool:
        """Whether it is this number: some stand for something else than themselves."""
        return bool(self._value((name,)) == value)

    def flag(self, *names: str, default: bool = False) -> bool:
        """True or false; what is neither counts as the default."""
        value = self._value(names)
        return value if isinstance(value, bool) else default

    def text(self, *names: str, default: str = "") -> str:
        """A word."""
        value = self._value(names)
        return value if isinstance(value, str) else default

    def items(self, *names: str) -> list[Any]:
        """A list; an empty one where there is none."""
        value = self._value(names)
        return value if isinstance(value, list) else []

    def inner(self, name: str, defaults: Mapping[str, Any] | None = None) -> Fields:
        """An object inside of it; an empty one where there is none."""
        value = self._value((name,))
        return Fields(value if isinstance(value, dict) else {}, defaults)

    def _value(self, names: tuple[str, ...]) -> Any:  # noqa: ANN401 JSON: anything
        return next((self._config[name] for name in names if name in self._config), None)


def _given(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if value is not None}


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."  # noqa: PLR2004 enough to know it by
