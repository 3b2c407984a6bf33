from __future__ import annotations

import logging
import threading

import pytest

from byoi_agent.telemetry.logs import configure
from byoi_agent.telemetry.recent import RecentLines


@pytest.fixture
def logger():
    made = logging.getLogger("byoi_agent.tests.recent")
    made.setLevel(logging.DEBUG)
    return made


@pytest.fixture
def recent(logger):
    handler = RecentLines(most=50)
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


def test_the_last_lines_are_kept_with_their_fields(logger, recent):
    logger.info("node starts", extra={"version": "1"})
    logger.debug("small talk")
    logger.warning("link lost")
    assert [line.fields["event"] for line in recent.last(10, "info")] == [
        "node starts",
        "link lost",
    ]
    assert recent.last(10, "info")[0].fields["version"] == "1"
    assert [line.fields["event"] for line in recent.last(1)] == ["link lost"]
    assert recent.last(0) == []


def test_secrets_are_taken_out_as_in_the_file(logger, recent):
    logger.info("asked", extra={"token": "hunter2", "said": "Bearer abcdefghijklmnop"})
    assert "hunter2" not in str(recent.last(1))
    assert "abcdefghijklmnop" not in str(recent.last(1))


def test_memory_is_bounded(logger, recent):
    for _ in range(recent.most + 5):
        recent.handle(logging.makeLogRecord({"msg": "line", "levelno": 20}))
    logger.info("long", extra={"said": "x" * 100_000})
    assert len(recent.last(recent.most * 2)) == recent.most
    assert len(str(recent.last(1))) < 20_000


def test_a_line_that_cannot_be_written_ends_nothing(logger, recent, monkeypatch):
    class Bad:
        def __str__(self):
            raise ValueError

    monkeypatch.setattr(logging, "raiseExceptions", False)
    logger.info("%s", Bad())
    assert recent.last(1) == []


def test_one_listener_hears_of_each_line_in_its_thread(logger, recent):
    heard = []
    recent.listen(lambda line: heard.append((line.fields["event"], threading.current_thread())))
    thread = threading.Thread(target=logger.info, args=("from afar",))
    thread.start()
    thread.join()
    recent.listen(None)
    logger.info("nobody hears")
    assert heard == [("from afar", thread)]


def test_it_stays_when_the_log_goes_elsewhere(recent, capsys):
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    root.addHandler(recent)
    try:
        configure("json", "info")
        configure("json", "info")
        assert root.handlers.count(recent) == 1
        assert len(root.handlers) == 2
    finally:
        root.handlers[:] = before
        root.setLevel(level)
