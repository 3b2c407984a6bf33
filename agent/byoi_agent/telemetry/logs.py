"""Log lines: constant lower-case events with fields, for a person or for a program."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Final, Literal, TextIO

from byoi_agent.telemetry.redaction import redact, redact_value

Format = Literal["auto", "human", "json"]

_OWN_ATTRIBUTES: Final = frozenset(
    {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}
)
_QUIET: Final = ("aiohttp.access", "asyncio", "websockets", "keyring")


def configure(style: Format, level: str, stream: TextIO | None = None) -> None:
    """Send every log line of this process to `stream` (standard error) in the wanted form."""
    target = stream if stream is not None else sys.stderr
    handler = logging.StreamHandler(target)
    human = style == "human" or (style == "auto" and target.isatty())
    handler.setFormatter(HumanFormatter() if human else JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(root.level, logging.WARNING))


class JsonFormatter(logging.Formatter):
    """One JSON object per line; what an attacker put into a field cannot begin a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": redact(record.getMessage()),
            **fields_of(record),
        }
        if record.exc_info:
            line["traceback"] = redact(self.formatException(record.exc_info))
        return json.dumps(line, default=str, ensure_ascii=False)


class HumanFormatter(logging.Formatter):
    """Time, level, event, then `name=value` pairs; a traceback follows where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        time = datetime.fromtimestamp(record.created, UTC).astimezone().strftime("%H:%M:%S")
        given = {name: value for name, value in fields_of(record).items() if value is not None}
        fields = "".join(f"  {name}={_plain(value)}" for name, value in given.items())
        event = _printable(redact(record.getMessage()))
        line = f"{time} {record.levelname.lower():<7} {event}{fields}"
        if record.exc_info:
            line += "\n" + redact(self.formatException(record.exc_info))
        return line


def fields_of(record: logging.LogRecord) -> dict[str, object]:
    """What was passed as `extra`, without secrets."""
    return {
        name: redact_value(name, value)
        for name, value in vars(record).items()
        if name not in _OWN_ATTRIBUTES
    }


def _plain(value: object) -> str:
    text = _printable(str(value))
    return json.dumps(text, ensure_ascii=False) if " " in text or not text else text


def _printable(text: str) -> str:
    # Control characters could move a terminal's cursor or forge a second line.
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
