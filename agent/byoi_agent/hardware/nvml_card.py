"""One card, or a part of one, asked through NVML: what it does not offer is None."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from byoi_agent.hardware.nvml_words import mend_of, words_of

Foreign: TypeAlias = Any
"""Whatever pynvml gives: it has no types, and none of it leaves the files named after NVML."""

_CARD_IS_LOST: Final = ("NVML_ERROR_GPU_IS_LOST", "NVML_ERROR_RESET_REQUIRED")
_DRIVER_IS_LOST: Final = (
    "NVML_ERROR_UNINITIALIZED",
    "NVML_ERROR_DRIVER_NOT_LOADED",
    "NVML_ERROR_LIB_RM_VERSION_MISMATCH",
)

_VALUES: Final = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")
"""The member of a field's union for each NVML_VALUE_TYPE."""


class CardLost(Exception):
    """One card does not answer; the others may."""

    def __init__(self, error: Exception) -> None:
        super().__init__(words_of(error))
        self.mend = mend_of(error)


class NvmlCard:
    """A handle and the library that gave it.

    Each method raises `CardLost` when this card has gone, and NVML's own error when the driver has.
    """

    def __init__(self, nvml: Foreign, handle: Foreign) -> None:
        self._nvml = nvml
        self._handle = handle

    @classmethod
    def at(cls, nvml: Foreign, index: int) -> NvmlCard:
        """The card with this number.

        Raises:
            CardLost: the driver knows it, and gives no access to it.
        """
        try:
            return cls(nvml, nvml.nvmlDeviceGetHandleByIndex(index))
        except nvml.NVMLError as error:
            if _is_one_of(nvml, error, _DRIVER_IS_LOST):
                raise
            raise CardLost(error) from error

    def part(self, index: int) -> NvmlCard | None:
        """The MIG instance with this number; the numbers have gaps."""
        handle = self.ask("nvmlDeviceGetMigDeviceHandleByIndex", index)
        return None if handle is None else NvmlCard(self._nvml, handle)

    def ask(self, name: str, *arguments: Foreign) -> Foreign:
        """The call's answer; None where card, driver, binding or account does not offer it.

        An argument in words is the name of one of NVML's constants.
        """
        given = [getattr(self._nvml, a, None) if isinstance(a, str) else a for a in arguments]
        if None in given:
            return None
        return optional(self._nvml, name, self._handle, *given)

    def number(self, name: str, *arguments: Foreign) -> int | None:
        """The same for calls that answer with a number."""
        answer = self.ask(name, *arguments)
        return None if answer is None or answer == _unknown(self._nvml) else int(answer)

    def flag(self, name: str) -> bool | None:
        """The same for calls that answer with yes or no."""
        answer = self.ask(name)
        return None if answer is None else bool(answer)

    def text(self, name: str) -> str | None:
        """The same for calls that answer with text."""
        return as_text(self.ask(name))

    def fields(self, name: str, scopes: tuple[int, ...] = (0,)) -> tuple[int | None, ...]:
        """One of NVML's fields, for each scope (a link, a sensor) on its own."""
        field = getattr(self._nvml, name, None)
        asked = [(field, scope) for scope in scopes]
        values = None if field is None else self.ask("nvmlDeviceGetFieldValues", asked)
        return (None,) * len(scopes) if values is None else tuple(_value(one) for one in values)


def optional(nvml: Foreign, name: str, *arguments: Foreign) -> Foreign:
    """The call's answer; None where it is not offered.

    Raises:
        CardLost: the card it is about has gone.
    """
    call = getattr(nvml, name, None)
    if call is None:
        return None
    try:
        return call(*arguments)
    except nvml.NVMLError as error:
        if _is_one_of(nvml, error, _DRIVER_IS_LOST):
            raise
        if _is_one_of(nvml, error, _CARD_IS_LOST):
            raise CardLost(error) from error
        return None
    except (nvml.NVMLLibraryMismatchError, ValueError):
        return None  # an older driver's form of the call; a text that is none


def as_text(value: Foreign) -> str | None:
    """Text of NVML's; bindings before 11.5 give bytes."""
    text = value.decode(errors="replace") if isinstance(value, bytes) else value
    return str(text) if text else None


def _value(field: Foreign) -> int | None:
    if field.nvmlReturn != 0:
        return None
    return int(getattr(field.value, _VALUES[field.valueType]))


def _unknown(nvml: Foreign) -> int | None:
    """What some drivers give for a number that they do not have: all bits set."""
    unknown: int = nvml.NVML_VALUE_NOT_AVAILABLE_uint.value
    return unknown


def _is_one_of(nvml: Foreign, error: Foreign, names: tuple[str, ...]) -> bool:
    return error.value in {getattr(nvml, name, None) for name in names}
