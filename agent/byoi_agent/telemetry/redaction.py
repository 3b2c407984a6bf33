"""Takes secrets out of text before anybody can read it in a log; pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

MASK: Final = "[redacted]"

_SECRETS: Final = (
    re.compile(r"(?i)(\b(?:bearer|basic)\s+)[^\s\"',;]+"),
    re.compile(
        r"(?i)((?:\b|_)(?:api[_-]?key|(?:join|control|access)?[_-]?token|secret|password|"
        r"authorization)[\"']?\s*[=:]\s*[\"']?)(?!bearer\b|basic\b)[^\s\"',;&}]+"
    ),
    re.compile(r"()\bsk-[A-Za-z0-9_-]{8,}"),
    re.compile(r"()\bbyoi-join-[A-Za-z0-9_-]+"),
    re.compile(
        r"()-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
    ),
    re.compile(r"(://[^/\s:@]*:)[^/?#\s\"'<>]+(?=@)"),
)

_SECRET_NAME: Final = re.compile(
    r"(?i)(^|[_-])(token|secret|password|authorization|api[_-]?key|private_?key|join_?token)$"
)


def redact(text: str) -> str:
    """The same text with every key, token, password and bearer value masked."""
    for pattern in _SECRETS:
        text = pattern.sub(rf"\g<1>{MASK}", text)
    return text


def redact_value(name: str, value: object) -> object:
    """A field's value as it may be logged; what its name calls a secret is masked whole."""
    if _SECRET_NAME.search(name) and value is not None:
        return MASK
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {str(key): redact_value(str(key), inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [redact_value(name, inner) for inner in value]
    return value
