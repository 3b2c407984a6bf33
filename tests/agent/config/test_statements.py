from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byoi_agent.config.statements import lines_of, statements_of

PIECES = ['"', "'", '"""', "'''", "\\", '\\"', "[", "]", "{ b = 1 }", "#", "\n", "x", ",", "1", " "]


def shortest(lines):
    """How many lines the first statement takes: as few as are TOML."""
    for count in range(1, len(lines) + 1):
        try:
            tomllib.loads("".join(lines[:count]))
        except tomllib.TOMLDecodeError:
            continue
        return count
    return None


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("a = 1", 1),
        ("a = [ # ]\n1,\n]", 3),
        ("a = ']' # [", 1),
        ('a = "\\"["', 1),
        ('a = """"\n"""""', 2),
        ('a = """\\"""\n"""', 2),
        ('a = """\\\n  x"""', 2),
        ("a = '''\\'''", 1),
        ("a = ''''\n'''''", 2),
        ('a = [["""\n]]"""],\n["#"]]', 3),
        ("a = { b = [\n1] }", 2),
        ('["a]"]', 1),
        ("[[a]] # [", 1),
    ],
)
def test_a_statement_takes_the_lines_of_its_value(text, count):
    found = statements_of([*lines_of(f"{text}\n"), "z = 1\n"])
    assert [(each.first, each.after) for each in found] == [(0, count), (count, count + 1)]


@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
def test_no_statement_ends_elsewhere_than_where_toml_sees_its_end(value):
    lines = lines_of(f"a = {value}\nz = 1\n")
    if (count := shortest(lines)) is not None:
        assert statements_of(lines)[0].after == count


def test_a_value_of_many_lines_is_read_once(monkeypatch):
    asked, loads = [], tomllib.loads

    def counted(text):
        asked.append(text)
        return loads(text)

    monkeypatch.setattr(tomllib, "loads", counted)
    text = "a = [\n" + '"one",\n' * 1000 + ']\nb = """\n' + "word\n" * 1000 + '"""\n'
    found = statements_of(lines_of(text))
    assert [each.path for each in found] == [("a",), ("b",)]
    assert len(asked) == 2


def test_what_is_no_toml_ends_with_the_text():
    assert [each.after for each in statements_of(["a = [\n", "1,\n"])] == [2]
    assert [each.after for each in statements_of(["a = =\n", "b = 1\n"])] == [2]
