"""A long list, a page at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

PAGE_SIZE: Final = 50
_DIGITS: Final = 9

Item = TypeVar("Item")


@dataclass(frozen=True)
class Page(Generic[Item]):
    """Some of `total` items: page `number` of `count`, both from 1."""

    items: Sequence[Item]
    number: int
    count: int
    total: int


@dataclass(frozen=True)
class Place:
    """A page before its items are fetched: `offset` is that of its first."""

    number: int
    count: int
    offset: int


def place_of(total: int, request: Request) -> Place:
    """The page that `?page=` names; what is no page of this list is the nearest one."""
    text = request.query_params.get("page", "1")
    is_number = text.isascii() and text.isdecimal() and len(text) <= _DIGITS
    count = max(1, -(-total // PAGE_SIZE))
    number = min(max(int(text), 1), count) if is_number else 1
    return Place(number, count, (number - 1) * PAGE_SIZE)


def page_of(items: Sequence[Item], request: Request) -> Page[Item]:
    """The same of a list that is here already."""
    place = place_of(len(items), request)
    shown = items[place.offset : place.offset + PAGE_SIZE]
    return Page(shown, place.number, place.count, len(items))
