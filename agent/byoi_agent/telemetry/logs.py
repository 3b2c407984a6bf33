"""Log lines: constant lower-case events with fields, for a person or for a program."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal, TextIO

from byoi_agent.telemetry.log_file import LogFile
from byoi_agent.telemetry.redaction import redact, redact_value

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Format = Literal["auto", "human", "json"]

_OWN_ATTRIBUTES: Final = frozenset(
    {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}
)
_QUIET: Final = (
    *("aiohttp.access", "asyncio", "websockets", "keyring"),
    # Each tells the whole address of each request: a hub signs those that it sends us on to.
    *("httpx2", "httpcore2", "urllib3"),
)


def configure(
    style: Format, level: str, stream: TextIO | None = None, *, file: Path | None = None
) -> None:
    """Send every log line of this process to `stream` (standard error) in the wanted form.

    And to `file`, always as JSON, for whoever reads it back. Called again it begins anew, but for
    a handler with `stays`.
    """
    target = stream if stream is not None else sys.stderr
    handler: logging.Handler = logging.StreamHandler(target)
    human = style == "human" or (style == "auto" and target.isatty())
    handler.setFormatter(HumanFormatter() if human else JsonFormatter())
    handlers = [handler]
    if file is not None:
        handlers.append(LogFile(file))
        handlers[-1].setFormatter(JsonFormatter())
    logging.raiseExceptions = False  # a reader of standard error that has gone is no fault of ours
    root = logging.getLogger()
    handlers += [old for old in root.handlers if getattr(old, "stays", False)]
    before, root.handlers[:] = root.handlers[:], handlers
    for old in before:
        if isinstance(old, LogFile):
            old.close()
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
        return _escaped(json.dumps(line, default=str, ensure_ascii=False))


class HumanFormatter(logging.Formatter):
    """Time, level, event, then `name=value` pairs; a traceback follows where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        time = datetime.fromtimestamp(record.created, UTC).astimezone().strftime("%H:%M:%S")
        line = _human(time, record.levelname, redact(record.getMessage()), fields_of(record))
        if record.exc_info:
            line += "\n" + redact(self.formatException(record.exc_info))
        return line


def human_line(line: str) -> str:
    """A line of `JsonFormatter` for people, with its day; what is none comes back as printable."""
    try:
        fields: dict[str, object] = dict(json.loads(line))
        time = datetime.fromisoformat(str(fields.pop("time"))).astimezone()
        level, event = str(fields.pop("level")), str(fields.pop("event"))
    except (ValueError, KeyError, TypeError):
        return _printable(line)
    fields.pop("logger", None)
    trace = fields.pop("traceback", None)
    told = _human(time.strftime("%Y-%m-%d %H:%M:%S"), level, event, fields)
    return told if trace is None else f"{told}\n{_printable_lines(str(trace))}"


def fields_of(record: logging.LogRecord) -> dict[str, object]:
    """What was passed as `extra`, without secrets."""
    return {
        name: redact_value(name, value)
        for name, value in vars(record).items()
        if name not in _OWN_ATTRIBUTES
    }


def _human(time: str, level: str, event: str, fields: Mapping[str, object]) -> str:
    given = {name: value for name, value in fields.items() if value is not None}
    pairs = "".join(f"  {name}={_plain(value)}" for name, value in given.items())
    return f"{time} {level.lower():<7} {_printable(event)}{pairs}"


def _escaped(line: str) -> str:
    """The same JSON, with what JSON lets through and a terminal may obey (C1, RFC 8259 sec. 7)."""
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in line)


def _printable_lines(text: str) -> str:
    return "\n".join(_printable(line) for line in text.splitlines())


def _plain(value: object) -> str:
    text = _printable(str(value))
    return json.dumps(text, ensure_ascii=False) if " " in text or not text else text


def _printable(text: str) -> str:
    # Control characters could move a terminal's cursor or forge a second line.
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
