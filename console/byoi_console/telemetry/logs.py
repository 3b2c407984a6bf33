"""Log lines for people or for programs, with everything that looks like a secret taken out."""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from typing import TextIO

_PLAIN_FIELDS: Final = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}
_SECRET: Final = re.compile(r"(sk-byoi-|byoi-join-)[A-Za-z0-9_-]+|(Bearer|Basic) +[^\s\"']+")
_PASSWORD: Final = re.compile(r"(://[^\s:/@]*:)[^\s/@]+@")
_STATEMENT: Final = re.compile(
    r"(\n\[SQL: .*?)?\n\(Background on this error at: [^)]*\)|\n\[SQL: .*", re.DOTALL
)


def configure(form: Literal["human", "json"], level: str, stream: TextIO | None = None) -> None:
    """Send every logger's lines to `stream` (stderr) in the chosen form."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else HumanLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for chatty in ("alembic", "aiosqlite", "asyncio", "websockets"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLogger().level))


def redact(text: str) -> str:
    """`text` without keys, tokens or credentials; their kind stays readable."""
    text = _PASSWORD.sub(r"\1…@", text)
    return _SECRET.sub(lambda found: f"{found[1] or found[2] + ' '}…", text)


def fields_of(record: logging.LogRecord) -> dict[str, object]:
    """What the caller gave as `extra`; of a database's complaint only what the database said."""
    return {
        name: _STATEMENT.sub("", value) if isinstance(value, str) else value
        for name, value in vars(record).items()
        if name not in _PLAIN_FIELDS
    }


class JsonLines(logging.Formatter):
    """One JSON object a line; control characters cannot break out of it."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of JSON."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **fields_of(record),
        }
        if record.exc_info:
            line["traceback"] = _traceback(self, record)
        return _escaped(redact(json.dumps(line, default=str, ensure_ascii=False)))


class HumanLines(logging.Formatter):
    """Time, level, event and its fields, for a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of text; a traceback follows on its own lines."""
        time = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S")
        fields = "".join(f" {name}={value!s}" for name, value in fields_of(record).items())
        text = f"{time} {record.levelname.lower():7} {record.getMessage()}{fields}"
        text = _printable(text)
        if record.exc_info:
            text = f"{text}\n{_traceback(self, record)}"
        return redact(text)


def _escaped(line: str) -> str:
    """The same JSON, with what JSON lets through and a terminal may obey (C1, RFC 8259 sec. 7)."""
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in line)


def _printable(text: str) -> str:
    """What strangers say stays on its line, and moves no terminal's cursor."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    return _STATEMENT.sub("", formatter.formatException(record.exc_info or (None, None, None)))
