"""What one value of a request may be: small checks from which the tables of fields are built.

A check is called with the value and its place (`messages[2].content`) and raises `RequestInvalid`
in words for the caller who wrote the request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NoReturn

from byoi_wire.errors import WireError

PLACE_LIMIT: Final = 200
"""Characters of a field's name that an answer repeats; names are the caller's own text."""

Check = Callable[[object, str], None]


_KINDS: Final = {
    bool: "a boolean",
    int: "an integer",
    float: "a decimal",
    str: "a string",
    list: "an array",
    dict: "an object",
}


class RequestInvalid(WireError):
    """A request that must not be passed on; its writer is told why in OpenAI's error object.

    Attributes:
        message: what is wrong, for the person who wrote the request.
        param: the field at fault, None where it is the body as a whole.
        code: OpenAI's code, None where OpenAI gives none.
        status: the HTTP status to answer with.
    """

    def __init__(
        self, message: str, param: str | None = None, code: str | None = None, status: int = 400
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code
        self.status = status


def refuse(place: str, problem: str, code: str = "invalid_value") -> NoReturn:
    """Raise for the value at `place`; `problem` goes on after the place's name."""
    raise RequestInvalid(f"Invalid value for '{place}': {problem}.", place, code)


def wrong_type(place: str, expected: str, value: object) -> NoReturn:
    """Raise since the value's JSON type is not the one expected."""
    message = f"Invalid type for '{place}': expected {expected}, but got {kind_of(value)} instead."
    raise RequestInvalid(message, place, "invalid_type")


def kind_of(value: object) -> str:
    """A value's JSON type as OpenAI's messages name it."""
    return "null" if value is None else _KINDS[type(value)]


def boolean(value: object, place: str) -> None:
    """True or false, never 0 or 1."""
    if not isinstance(value, bool):
        wrong_type(place, "a boolean", value)


def anything(_value: object, _place: str) -> None:
    """For fields that are dropped: whatever they hold, nobody reads it."""


def number(low: float, high: float) -> Check:
    """An integer or a decimal from `low` to `high`, both included."""

    def check(value: object, place: str) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            wrong_type(place, "a number", value)
        if not low <= value <= high:  # NaN is within nothing
            refuse(place, f"must be between {low:g} and {high:g}")

    return check


def integer(low: int, high: int) -> Check:
    """A whole number from `low` to `high`, both included."""

    def check(value: object, place: str) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            wrong_type(place, "an integer", value)
        if not low <= value <= high:
            refuse(place, f"must be between {low} and {high}")

    return check


def string(longest: int) -> Check:
    """A string of at most `longest` characters."""

    def check(value: object, place: str) -> None:
        text_of(value, place, longest)

    return check


def one_of(*choices: str) -> Check:
    """One of the strings listed."""

    def check(value: object, place: str) -> None:
        if not isinstance(value, str):
            wrong_type(place, "a string", value)
        if value not in choices:
            refuse(place, "supported values are " + ", ".join(f"'{c}'" for c in choices))

    return check


def array(item: Check, most: int, least: int = 0) -> Check:
    """A list of `least` to `most` values that each pass `item`."""

    def check(value: object, place: str) -> None:
        for index, element in enumerate(list_of(value, place, most, least)):
            item(element, f"{place}[{index}]")

    return check


def record(fields: Mapping[str, Check], *required: str) -> Check:
    """An object with the fields listed and no others; null counts as absent unless required."""

    def check(value: object, place: str) -> None:
        mapping = object_of(value, place)
        for name, element in mapping.items():
            rule = fields.get(name)
            if rule is None:
                refuse_field(f"{place}.{name}")
            if element is not None or name in required:
                rule(element, f"{place}.{name}")
        for name in required:
            if name not in mapping:
                missing(f"{place}.{name}")

    return check


def tagged(kinds: Mapping[str, Check], fallback: str | None = None) -> Check:
    """An object whose `type` says which of the checks is its own."""

    def check(value: object, place: str) -> None:
        kind = object_of(value, place).get("type", fallback)
        if kind is None:
            missing(f"{place}.type")
        if not isinstance(kind, str):
            wrong_type(f"{place}.type", "a string", kind)
        if kind not in kinds:
            refuse(f"{place}.type", "supported values are " + ", ".join(f"'{k}'" for k in kinds))
        kinds[kind](value, place)

    return check


def refuse_field(place: str) -> NoReturn:
    """Raise for a field that is in no list."""
    shown = place[:PLACE_LIMIT]
    message = f"Unrecognized request argument supplied: {shown}."
    raise RequestInvalid(message, shown, "unknown_parameter")


def missing(place: str) -> NoReturn:
    """Raise for a field that has to be there."""
    message = f"Missing required parameter: '{place}'."
    raise RequestInvalid(message, place, "missing_required_parameter")


def text_of(value: object, place: str, longest: int) -> str:
    """The value as a string within its limit."""
    if not isinstance(value, str):
        wrong_type(place, "a string", value)
    if len(value) > longest:
        refuse(place, f"longer than {longest} characters", "string_above_max_length")
    return value


def list_of(value: object, place: str, most: int, least: int = 0) -> Sequence[object]:
    """The value as a list within its limits."""
    if not isinstance(value, list):
        wrong_type(place, "an array", value)
    if len(value) > most:
        refuse(place, f"more than {most} elements", "array_above_max_length")
    if len(value) < least:
        refuse(place, f"fewer than {least} elements", "array_below_min_length")
    return value


def object_of(value: object, place: str) -> Mapping[str, object]:
    """The value as an object."""
    if not isinstance(value, dict):
        wrong_type(place, "an object", value)
    return value
