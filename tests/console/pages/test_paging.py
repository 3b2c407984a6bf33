from __future__ import annotations

from types import SimpleNamespace

import pytest

from byoi_console.pages.paging import PAGE_SIZE, page_of


def asked(**query):
    return SimpleNamespace(query_params=query)


@pytest.mark.parametrize(
    ("asked_for", "number"),
    [("1", 1), ("2", 2), ("200", 200), ("201", 200), ("0", 1), ("-1", 1), ("x", 1), ("9" * 99, 1)],
)
def test_ten_thousand_rows_are_two_hundred_pages(asked_for, number):
    page = page_of(range(10_000), asked(page=asked_for))
    assert (page.number, page.count, page.total) == (number, 200, 10_000)
    assert page.items[0] == (number - 1) * PAGE_SIZE
    assert len(page.items) == PAGE_SIZE


def test_nothing_is_one_empty_page():
    page = page_of([], asked())
    assert (page.items, page.number, page.count, page.total) == ([], 1, 1, 0)
