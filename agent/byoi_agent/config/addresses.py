"""Addresses as they may be shown: without what lets somebody in."""

from __future__ import annotations

import re
from typing import Final

HIDDEN: Final = "[hidden]"

_ACCOUNT: Final = re.compile(r"(?<=://)[^/?#\s\"'<>]+@")
_QUERY: Final = re.compile(r"(://[^?#\s\"'<>]*)([?#])[^\s\"'<>]+")


def without_secrets(text: str) -> str:
    """The same text with the account and the query of each URL in it hidden.

    Many services take a key in the query, under a name of their own.
    """
    return _QUERY.sub(r"\g<1>\g<2>…", _ACCOUNT.sub(f"{HIDDEN}@", text))


def without_secrets_in(value: object) -> object:
    """The same for each text in a value of JSON."""
    if isinstance(value, str):
        return without_secrets(value)
    if isinstance(value, dict):
        return {name: without_secrets_in(inner) for name, inner in value.items()}
    return [without_secrets_in(one) for one in value] if isinstance(value, list) else value
