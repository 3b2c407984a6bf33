from __future__ import annotations

import csv
import io

import pytest

from byoi_console.pages.spreadsheet import csv_of


def read(text):
    return list(csv.reader(io.StringIO(text, newline="")))


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "  ="])
def test_no_text_is_a_formula(start):
    assert read(csv_of(["a"], [[f"{start}1+1"]]))[1] == [f"'{start}1+1"]


def test_numbers_stay_numbers_and_nothing_stays_nothing():
    assert read(csv_of(["a", "b"], [[-5, None], [0, "x"]]))[1:] == [["-5", ""], ["0", "x"]]


def test_commas_quotes_and_lines_survive():
    assert read(csv_of(["a"], [['x,"y"\r\nz']]))[1] == ['x,"y"\r\nz']
