from __future__ import annotations

import contextlib
import errno
import json
import logging
import stat

import pytest

from byoi_agent.telemetry.log_file import FILES, LogFile, follow, level_of, newest, size_of


class Over(Exception):
    """There is nothing more to come."""


def a_line(text, level="info"):
    return json.dumps({"level": level, "event": text})


@pytest.fixture
def file(tmp_path):
    return tmp_path / "byoi.log"


@pytest.fixture
def handler(file):
    handler = LogFile(file, file_bytes=200)
    yield handler
    handler.close()


def write(handler, *texts):
    for text in texts:
        handler.emit(logging.makeLogRecord({"msg": text, "levelno": logging.INFO}))


def everything(_line):
    return True


def test_only_the_owner_can_read_it(handler, file):
    write(handler, "one")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_files_are_few_and_small(handler, file):
    write(handler, *(f"line {number:03d} {'x' * 40}" for number in range(100)))
    files = list(file.parent.iterdir())
    assert len(files) == FILES
    assert all(each.stat().st_size <= 200 for each in files)
    assert newest(file, 2, everything)[-1].startswith("line 099")


def test_a_full_disk_costs_lines_and_is_told_once(handler, file, capsys, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    write(handler, "before")
    with monkeypatch.context() as broken:
        broken.setattr(handler.stream, "flush", full)
        write(handler, "lost", "lost")
    assert capsys.readouterr().err.count("No space left on device") == 1
    write(handler, "after")
    assert newest(file, 9, everything)[-1] == "after"


def test_a_folder_that_cannot_be_written_to_ends_nobody(tmp_path, capsys):
    handler = LogFile(tmp_path / "none" / "byoi.log")
    write(handler, "one", "two")
    assert capsys.readouterr().err.count("\n") == 1


def test_the_newest_lines_come_from_older_files_too(file):
    file.write_text("5\n6\n")
    file.with_name("byoi.log.1").write_text("3\n4\n")
    file.with_name("byoi.log.2").write_text("1\n2\n")
    assert newest(file, 3, everything) == ["4", "5", "6"]
    assert newest(file, 99, everything) == list("123456")
    assert newest(file, 2, lambda line: line in "13") == ["1", "3"]
    assert newest(file, 2, everything, to_bytes=2) == ["4", "5"]
    assert newest(file.with_name("none"), 9, everything) == []


def test_following_goes_beyond_a_rotation_and_loses_no_line(file):
    file.write_text("old\n")
    steps = iter(
        [
            lambda: append(file, "1\n2"),
            lambda: append(file, " and more\n"),
            lambda: rotate(file, "3\n", "4\n"),
            lambda: append(file, "5\n"),
        ]
    )
    seen = []

    def pause():
        if (step := next(steps, None)) is None:
            raise Over
        step()

    with pytest.raises(Over):
        collect(follow(file, pause, from_bytes=size_of(file)), seen)
    assert seen == ["1", "2 and more", "3", "4", "5"]


def test_following_waits_for_a_file_and_notices_that_it_was_emptied(file):
    steps = iter(
        [
            lambda: append(file, "1\n"),
            lambda: file.write_text(""),
            lambda: append(file, "2\n"),
        ]
    )
    seen = []

    def pause():
        if (step := next(steps, None)) is None:
            raise Over
        step()

    with pytest.raises(Over):
        collect(follow(file, pause, from_bytes=size_of(file)), seen)
    assert seen == ["1", "2"]


def collect(lines, seen):
    with contextlib.closing(lines):
        for line in lines:
            seen.append(line)


def append(file, text):
    with file.open("a") as writer:
        writer.write(text)


def rotate(file, last, first):
    append(file, last)
    file.rename(file.with_name("byoi.log.1"))
    append(file, first)


@pytest.mark.parametrize(
    ("line", "level"),
    [
        (a_line("x", "debug"), logging.DEBUG),
        (a_line("x", "error"), logging.ERROR),
        ("torn {", logging.CRITICAL),
        ("[]", logging.CRITICAL),
        ("null", logging.CRITICAL),
        ('{"level": 3}', logging.CRITICAL),
        ('{"level": "odd"}', logging.CRITICAL),
    ],
)
def test_a_line_is_as_important_as_it_says(line, level):
    assert level_of(line) == level


def test_what_unicode_counts_as_the_end_of_a_line_is_none(file):
    lines = [a_line("a\u2028b\x85c"), a_line("d")]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert json.loads(lines[0])["event"] == "a\u2028b\x85c"
    assert newest(file, 9, everything) == lines


def test_a_letter_that_is_written_in_two_pieces_comes_whole(file):
    line = "caf\u00e9".encode()
    assert collected(file, [line[:-1], line[-1:] + b"\n"]) == ["caf\u00e9"]


def collected(file, pieces):
    """What `follow` tells while these bytes are appended to an empty file, one after the other."""
    file.write_bytes(b"")
    coming, found = iter(pieces), []

    def pause():
        if (piece := next(coming, None)) is None:
            raise Over
        with file.open("ab") as writer:
            writer.write(piece)

    with contextlib.suppress(Over):
        for line in follow(file, pause, from_bytes=0):
            found.append(line)  # noqa: PERF402 what came before the end counts
    return found
