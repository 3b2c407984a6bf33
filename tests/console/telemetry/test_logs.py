from __future__ import annotations

import io
import json
import logging

import pytest
from sqlalchemy.exc import OperationalError

from byoi_console.telemetry.logs import configure, redact


@pytest.fixture
def told():
    """What `configure` sends to a stream; the root logger is as before afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()

    def start(form):
        configure(form, "info", stream)
        return stream

    yield start
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_line_for_programs_is_one_json_object(told):
    stream = told("json")
    logging.getLogger("byoi_console.x").info("node online", extra={"node": "a\nb", "epoch": 3})
    (line,) = stream.getvalue().splitlines()
    entry = json.loads(line)
    assert (entry["event"], entry["node"], entry["epoch"]) == ("node online", "a\nb", 3)
    assert entry["level"] == "info"


def test_a_line_for_people_stays_one_line_whatever_users_name_things(told):
    stream = told("human")
    logging.getLogger("x").warning("node online", extra={"node": "evil\n12:00:00 info all is well"})
    (line,) = stream.getvalue().splitlines()
    assert line.endswith("warning node online node=evil\\n12:00:00 info all is well")


@pytest.mark.parametrize("form", ["json", "human"])
def test_no_secret_reaches_a_log(told, form):
    stream = told(form)
    try:
        int("Authorization: Bearer abcdef123")
    except ValueError:
        logging.getLogger("x").exception(
            "refused", extra={"key": "sk-byoi-verysecret", "token": "byoi-join-verysecret"}
        )
    text = stream.getvalue()
    assert "verysecret" not in text
    assert "abcdef123" not in text
    assert "Traceback" in text


def test_the_kind_of_a_secret_stays_readable():
    assert redact("with sk-byoi-abc and Basic Zm9v") == "with sk-byoi-… and Basic …"


def test_quiet_levels_are_quiet(told):
    stream = told("human")
    logging.getLogger("x").debug("detail")
    logging.getLogger("alembic.runtime").info("Running upgrade")
    assert stream.getvalue() == ""


@pytest.mark.parametrize("form", ["json", "human"])
def test_of_a_database_s_complaint_only_what_the_database_said_is_logged(told, form):
    stream = told(form)
    error = OperationalError("INSERT INTO t VALUES (?)", ("hidden",), Exception("disk is full"))
    logging.getLogger("x").error("ledger not writable", extra={"why": str(error)})
    try:
        raise error
    except OperationalError:
        logging.getLogger("x").exception("request failed")
    text = stream.getvalue()
    assert text.count("disk is full") == 2
    for noise in ("Background", "sqlalche.me", "INSERT", "hidden"):
        assert noise not in text


def test_a_password_in_an_address_is_a_secret():
    assert redact("at postgresql://u:p4ss@host/b") == "at postgresql://u:…@host/b"


def test_a_line_for_people_does_not_steer_the_terminal(told):
    stream = told("human")
    logging.getLogger("x").info("node link ended", extra={"reason": "a\x1b]0;x\x07\x9b2J\u202eb"})
    assert stream.getvalue().endswith("reason=a\\x1b]0;x\\x07\\x9b2J\\u202eb\n")


def test_a_line_for_programs_does_not_steer_the_terminal_that_it_is_shown_in(told):
    stream = told("json")
    said = "a\x1b\x9b2J\u202e\U000e0001b"
    logging.getLogger("x").info("node link ended", extra={"reason": said})
    line = stream.getvalue().rstrip("\n")
    assert line.isprintable()
    assert json.loads(line)["reason"] == said
