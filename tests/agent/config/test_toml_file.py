from __future__ import annotations

import os

import pytest

from byoi_agent.config.toml_file import LIMIT_BYTES, UnfitFile, table_of, text_of


@pytest.fixture
def file(tmp_path):
    return tmp_path / "config.toml"


def test_the_mark_that_windows_editors_put_first_is_no_mistake(file):
    file.write_bytes(b"\xef\xbb\xbfslots = 2\r\n")
    assert table_of(text_of(file)) == {"slots": 2}


def test_text_that_is_not_utf_8_says_how_to_save_it(file):
    file.write_text("slots = 2\n", encoding="utf-16")
    with pytest.raises(UnfitFile, match="save it as UTF-8"):
        text_of(file)


def test_a_file_as_long_as_it_may_be_is_read_and_a_longer_one_is_not(file):
    file.write_bytes(b"#" * LIMIT_BYTES)
    assert len(text_of(file)) == LIMIT_BYTES
    file.write_bytes(b"#" * (LIMIT_BYTES + 1))
    with pytest.raises(UnfitFile, match="longer than 256 KiB"):
        text_of(file)


def test_what_is_no_file_is_said_to_be_none(tmp_path):
    with pytest.raises(UnfitFile, match="cannot be read: Is a directory"):
        text_of(tmp_path)
    with pytest.raises(UnfitFile, match="cannot be read: No such file"):
        text_of(tmp_path / "none")


def test_a_pipe_is_not_waited_for(file):
    os.mkfifo(file)
    with pytest.raises(UnfitFile, match="is a pipe"):
        text_of(file)


@pytest.mark.parametrize(
    ("text", "line"),
    [("slots = 1\nqueue = \n", 2), ("x = " + "[" * 20_000, None), ("slots = " + "9" * 6000, None)],
    ids=["no value", "brackets", "a number without end"],
)
def test_what_is_no_toml_is_told_with_its_line_where_one_is_known(text, line):
    with pytest.raises(UnfitFile, match="is not valid TOML") as unfit:
        table_of(text)
    assert unfit.value.line == line
