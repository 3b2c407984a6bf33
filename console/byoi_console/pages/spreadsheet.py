"""Tables for spreadsheet programs, which must not take a name for a formula."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


def csv_of(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """The table as CSV (RFC 4180).

    A text that a spreadsheet could read as a formula gets an apostrophe in front (OWASP's
    advice); numbers stay numbers.
    """
    written = io.StringIO(newline="")
    table = csv.writer(written, lineterminator="\r\n")
    table.writerow(head)
    table.writerows([_cell(value) for value in row] for row in rows)
    return written.getvalue()


def _cell(value: object) -> object:
    if not isinstance(value, str):
        return "" if value is None else value
    # A blank in front hides the sign from us, not from every spreadsheet.
    return f"'{value}" if value.lstrip(" ").startswith(_FORMULA_STARTS) else value
