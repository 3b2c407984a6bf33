from __future__ import annotations

import io
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from byoi_agent.cli import unenroll
from byoi_agent.config.files import write_private
from byoi_agent.config.lock import StateLock
from byoi_agent.errors import LinkError
from byoi_agent.identity.console_http import ConsoleHttp, Reply
from byoi_agent.identity.file_store import FileStore
from byoi_agent.identity.keys import fingerprint_of, public_key_text
from byoi_agent.identity.record import PendingKey, write_record

KEY, NEXT = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
PENDING = PendingKey(
    fingerprint=fingerprint_of(NEXT),
    public_key=public_key_text(NEXT),
    since_ms=0,
    key_store="file",
    key_id="k2",
)


@pytest.fixture
def state(tmp_path, record_of):
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    for key in (KEY, NEXT):
        FileStore(folder / "keys").save(key)
    write_record(folder / "identity.json", record_of(KEY, pending=PENDING))
    return folder


class Console:
    def __init__(self):
        self.asked = []
        self.answer = Reply(200, b'{"unenrolled": true}')

    async def post(self, _self, path, body):
        self.asked.append((path, body))
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


@pytest.fixture
def console(monkeypatch):
    made = Console()

    async def post(http, path, body):
        return await made.post(http, path, body)

    monkeypatch.setattr(ConsoleHttp, "post", post)
    return made


@pytest.fixture
def run(byoi, state):
    return lambda *flags: byoi("unenroll", "--data-dir", state, "--key-store", "file", *flags)


def is_forgotten(state):
    return not (state / "identity.json").exists() and not list((state / "keys").iterdir())


def test_the_place_is_given_back_and_every_key_forgotten(run, state, console):
    code, out, _ = run()
    assert code == 0
    assert "https://c has n1 no more" in out
    assert is_forgotten(state)
    [(path, body)] = console.asked
    assert path == "/agent/v1/unenroll"
    assert body["key_id"] == "k2"  # the newest: the console may have ended the older one


def test_a_second_enrolment_that_was_begun_goes_along(run, state, console):
    other = Ed25519PrivateKey.generate()
    FileStore(state / "keys").save(other)
    begun = {"console_url": "https://d", "way": "w", "fingerprint": fingerprint_of(other)}
    write_private(state / "enrolling.json", json.dumps({**begun, "key_store": "file"}).encode())
    code, _, err = run()
    assert code == 0
    assert "an enrolment with https://d that was begun here is given up too" in err
    assert is_forgotten(state)
    assert not (state / "enrolling.json").exists()


def test_a_console_that_cannot_be_reached_changes_nothing(run, state, console):
    console.answer = LinkError("the console is down", retry=True)
    code, _, err = run()
    assert code == 69
    assert "Nothing has changed" in err
    assert "byoi unenroll --force" in err
    assert not is_forgotten(state)


def test_a_console_that_knows_nothing_of_the_node_leads_to_force(run, state, console):
    console.answer = Reply(404, b'{"error": {"message": "no such node"}}')
    code, _, err = run()
    assert code == 78
    assert "byoi unenroll --force" in err
    assert not is_forgotten(state)


def test_force_forgets_here_alone_and_says_what_is_left_there(run, state, console):
    code, out, _ = run("--force")
    assert code == 0
    assert "https://c still lists n1" in out
    assert console.asked == []
    assert is_forgotten(state)


def test_programs_hear_what_became_of_it(run, state, console):
    code, out, _ = run("--json")
    assert code == 0
    assert json.loads(out) == {"node_id": "n1", "origin": "https://c", "is_given_back": True}


def test_a_node_that_still_runs_is_waited_for(run, state, console, monkeypatch):
    with StateLock(state / "byoi.lock") as lock:
        ended = iter([lambda: None, lambda: None, lambda: lock.__exit__()])
        monkeypatch.setattr(unenroll.time, "sleep", lambda _: next(ended)())
        assert run()[0] == 0
    assert is_forgotten(state)


def test_a_node_that_does_not_end_is_told(run, state, console, monkeypatch):
    monkeypatch.setattr(unenroll, "STOP_SECONDS", 0.01)
    with StateLock(state / "byoi.lock"):
        code, _, err = run()
        assert code == 69
        assert "the place is given back" in err
        assert run("--force")[0] == 69
    assert not is_forgotten(state)
    assert run("--force")[0] == 0
    assert is_forgotten(state)


def test_usage_that_was_not_booked_is_not_lost_unasked(run, state, console, monkeypatch):
    monkeypatch.setattr(unenroll, "count_waiting", lambda _: 7)
    given_up = []
    monkeypatch.setattr(unenroll, "give_up", lambda file, now: given_up.append(file))
    code, _, err = run()
    assert code == 1
    assert "7 usage records" in err
    assert console.asked == []
    code, _, err = run("--yes")
    assert code == 0
    assert "7 usage records will not be booked" in err
    assert given_up == [state / "usage.sqlite3"]


def test_a_person_is_asked_first(run, state, console, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    code, out, _ = run()
    assert code == 130
    assert "Give the place of n1 at https://c back?" in out
    assert not is_forgotten(state)
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    assert run()[0] == 0


def test_nothing_can_be_given_back_twice(run, console):
    run()
    code, _, err = run()
    assert code == 78
    assert "nothing to give back" in err
