"""The short code that a person carries from the terminal to the console. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

ALPHABET: Final = "BCDFGHJKLMNPQRSTVWXZ"
"""RFC 8628 section 6.1: no vowels, so no words; no letter that is read for another."""

LENGTH: Final = 8
_HALF: Final = LENGTH // 2


def new_user_code(choose: Callable[[str], str]) -> str:
    """A code as it is kept, without its dash; `choose` picks one letter by chance."""
    return "".join(choose(ALPHABET) for _ in range(LENGTH))


def spelled(code: str) -> str:
    """A code as people see it: `WDJB-MJHT`."""
    return f"{code[:_HALF]}-{code[_HALF:]}"


def read_user_code(typed: str) -> str | None:
    """The code that somebody typed, with or without dash, spaces and capitals; None: no code."""
    code = "".join(letter for letter in typed.upper() if not (letter.isspace() or letter == "-"))
    return code if len(code) == LENGTH and set(code) <= set(ALPHABET) else None
