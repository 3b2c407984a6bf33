"""Reads what people typed into fields, and says in their words what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from byoi_console.errors import InputInvalid
from byoi_console.pages.guard import text_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.datastructures import FormData

NAME_LIMIT: Final = 200
DAY_SECONDS: Final = 24 * 3600
_DIGITS: Final = 12


def name_in(form: FormData, field: str) -> str:
    """A name, on one line.

    Raises:
        InputInvalid: it is empty or too long.
    """
    name = " ".join(text_of(form, field).split())
    if not name:
        raise InputInvalid("Give it a name.", field)
    if len(name) > NAME_LIMIT:
        raise InputInvalid(f"A name has at most {NAME_LIMIT} characters.", field)
    return name


def number_in(form: FormData, field: str, label: str, limit: int) -> int | None:
    """A whole number from 1 to `limit`; None where the field is empty.

    Raises:
        InputInvalid: it is neither.
    """
    text = text_of(form, field).strip().replace(",", "")
    if not text:
        return None
    is_number = text.isascii() and text.isdecimal() and len(text) <= _DIGITS
    if not is_number or not 1 <= int(text) <= limit:
        raise InputInvalid(f"{label}: a whole number from 1 to {limit:,}, or nothing.", field)
    return int(text)


def choice_in(form: FormData, field: str, label: str, choices: Mapping[str, object]) -> str:
    """One of the choices that the page offered; the first where none is named.

    Raises:
        InputInvalid: another one.
    """
    chosen = text_of(form, field) or next(iter(choices))
    if chosen not in choices:
        raise InputInvalid(f"{label}: choose one of those offered.", field)
    return chosen
