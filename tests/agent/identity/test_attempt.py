from __future__ import annotations

import asyncio

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from byoi_agent.errors import ConfigError, IdentityError, KeyringAway, LinkError
from byoi_agent.identity.attempt import Attempts, give_up
from byoi_agent.identity.console_http import AnswerLost
from byoi_agent.identity.file_store import FileStore
from byoi_agent.identity.keys import fingerprint_of, public_key_text
from byoi_agent.identity.membership import Admission, admit
from byoi_agent.identity.record import read_record

CONSOLE_KEY = public_key_text(Ed25519PrivateKey.generate())


class Killed(BaseException):
    """What ends a process here; a real one does not even get to hear it."""


class Asking:
    """A console that does with each question what it is told to, and knows whom it admitted."""

    def __init__(self, *outcomes, name="token"):
        self.outcomes, self.name = list(outcomes), name
        self.asked = []
        self.was_asked = True

    async def __call__(self, key):
        self.asked.append(fingerprint_of(key))
        if self.outcomes and (error := self.outcomes.pop(0)) is not None:
            raise error
        return Admission(
            node_id="n1",
            key_id="k1",
            console_key=CONSOLE_KEY,
            console_key_id="c1",
            origin="http://console",
        )


@pytest.fixture
def store(tmp_path):
    return FileStore(tmp_path / "keys")


@pytest.fixture
def enrol(store, tmp_path):
    async def run(ask, base="http://console"):
        return await admit(
            base,
            ask,
            stores=[store],
            record_file=tmp_path / "identity.json",
            attempt_file=tmp_path / "enrolling.json",
            now_ms=0,
        )

    return run


def left(tmp_path):
    """Fingerprints of the keys that lie there, and whether an attempt is noted."""
    folder = tmp_path / "keys"
    names = [file.stem for file in folder.iterdir()] if folder.exists() else []
    return sorted(names), (tmp_path / "enrolling.json").exists()


async def test_a_killed_enrolment_is_gone_on_with_by_the_same_key(enrol, monkeypatch, tmp_path):
    ask = Asking(Killed())
    with monkeypatch.context() as patch:
        patch.setattr(
            Attempts, "failed", lambda *_, **__: None
        )  # nothing of it runs in a killed process
        with pytest.raises(Killed):
            await enrol(ask)
    enrolled = await enrol(ask)
    assert ask.asked == [fingerprint_of(enrolled.identity.key)] * 2
    assert left(tmp_path) == ([ask.asked[0]], False)


async def test_an_answer_that_cannot_be_written_down_is_asked_for_again(
    enrol, monkeypatch, tmp_path
):
    ask = Asking()

    def full(*_):
        raise OSError("no space left on the device")

    with monkeypatch.context() as patch:
        patch.setattr("byoi_agent.identity.membership.write_record", full)
        with pytest.raises(OSError, match="no space"):
            await enrol(ask)
    await enrol(ask)
    assert len(set(ask.asked)) == 1
    assert left(tmp_path) == ([ask.asked[0]], False)


@pytest.mark.parametrize(
    ("first", "is_kept"),
    [
        (AnswerLost("cut", retry=True), True),
        (LinkError("away", retry=True), False),
        (IdentityError("no"), False),
    ],
)
async def test_only_what_may_have_been_admitted_is_kept(enrol, tmp_path, first, is_kept):
    ask = Asking(first)
    with pytest.raises(type(first)):
        await enrol(ask)
    assert left(tmp_path) == ((ask.asked if is_kept else []), is_kept)


async def test_a_console_that_is_away_at_the_second_try_costs_the_key_nothing(enrol, tmp_path):
    ask = Asking(AnswerLost("cut", retry=True), LinkError("away", retry=True))
    for _ in range(2):
        with pytest.raises(LinkError):
            await enrol(ask)
    await enrol(ask)
    assert len(set(ask.asked)) == 1


async def test_a_key_that_is_refused_at_the_second_try_gives_way_to_a_new_one(enrol, tmp_path):
    ask = Asking(AnswerLost("cut", retry=True), IdentityError("the key is known"))
    with pytest.raises(AnswerLost):
        await enrol(ask)
    enrolled = await enrol(ask)
    assert ask.asked[0] == ask.asked[1] != ask.asked[2]
    assert left(tmp_path) == ([fingerprint_of(enrolled.identity.key)], False)


@pytest.mark.parametrize(
    ("base", "name"), [("http://other", "token"), ("http://console", "another"), ("", None)]
)
async def test_another_console_or_token_gets_another_key_and_the_first_is_forgotten(
    enrol, tmp_path, base, name
):
    first = Asking(AnswerLost("cut", retry=True))
    with pytest.raises(AnswerLost):
        await enrol(first)
    second = Asking(name=name)
    await enrol(second, base)
    assert second.asked != first.asked
    assert left(tmp_path) == (second.asked, False)


async def test_a_person_s_approval_leaves_no_key_behind(enrol, tmp_path):
    with pytest.raises(Killed):
        await enrol(Asking(Killed(), name=None))
    assert left(tmp_path) == ([], False)


async def test_a_note_of_the_enrolment_that_was_written_costs_no_key(
    enrol, store, monkeypatch, tmp_path
):
    ask = Asking()
    with monkeypatch.context() as patch:
        patch.setattr(Attempts, "ended", lambda _: None)  # cut off just before
        await enrol(ask)
    refused = Asking(IdentityError("no"))
    with pytest.raises(IdentityError):
        await enrol(refused)
    assert refused.asked != ask.asked
    record = read_record(tmp_path / "identity.json")
    assert store.load(record.fingerprint) is not None


@pytest.mark.parametrize("text", ["", "{", '{"console_url": 1}'])
async def test_a_damaged_note_is_none(enrol, tmp_path, text):
    (tmp_path / "enrolling.json").write_text(text)
    (tmp_path / "enrolling.json").chmod(0o600)
    await enrol(ask := Asking())
    assert left(tmp_path) == (ask.asked, False)


async def test_a_key_that_is_gone_meanwhile_gives_way_to_a_new_one(enrol, store, tmp_path):
    ask = Asking(AnswerLost("cut", retry=True))
    with pytest.raises(AnswerLost):
        await enrol(ask)
    store.delete(ask.asked[0])
    await enrol(ask)
    assert left(tmp_path) == ([ask.asked[1]], False)


@pytest.mark.parametrize(("name", "call"), [("token", "load"), ("another", "delete")])
async def test_a_store_that_is_away_for_the_moment_costs_neither_note_nor_key_nor_token(
    enrol, store, monkeypatch, tmp_path, name, call
):
    ask = Asking(AnswerLost("cut", retry=True))
    with pytest.raises(AnswerLost):
        await enrol(ask)

    def away(*_):
        raise KeyringAway("it is locked")

    with monkeypatch.context() as patch:
        patch.setattr(FileStore, call, away)
        again = Asking(name=name)
        with pytest.raises(KeyringAway, match=r"it is locked.*type the same again.*enrolling"):
            await enrol(again)
    assert again.asked == []
    assert left(tmp_path) == (ask.asked, True)
    enrolled = await enrol(ask)
    assert ask.asked == [fingerprint_of(enrolled.identity.key)] * 2


async def test_another_key_store_at_the_second_try_is_told_of_the_first(
    enrol, store, monkeypatch, tmp_path
):
    ask = Asking(AnswerLost("cut", retry=True))
    with pytest.raises(AnswerLost):
        await enrol(ask)
    with monkeypatch.context() as patch:
        patch.setattr(store, "name", "keyring", raising=False)
        with pytest.raises(IdentityError, match=r"in the store 'file'.*\(key_store rules it out\)"):
            await enrol(ask)
    assert left(tmp_path) == (ask.asked, True)


@pytest.mark.parametrize("was_asked", [False, True])
async def test_told_to_end_only_a_key_that_the_console_may_have_heard_of_stays(
    enrol, tmp_path, was_asked
):
    ask = Asking(asyncio.CancelledError())
    ask.was_asked = was_asked
    with pytest.raises(asyncio.CancelledError):
        await enrol(ask)
    assert left(tmp_path) == ((ask.asked, True) if was_asked else ([], False))


@pytest.mark.parametrize("error", [asyncio.CancelledError(), IdentityError("not trusted")])
async def test_a_second_try_that_never_reaches_the_console_costs_the_key_nothing(
    enrol, tmp_path, error
):
    ask = Asking(AnswerLost("cut", retry=True), error)
    with pytest.raises(AnswerLost):
        await enrol(ask)
    ask.was_asked = False
    with pytest.raises(type(error)):
        await enrol(ask)
    assert len(ask.asked) == 2
    assert left(tmp_path) == (ask.asked[:1], True)


@pytest.mark.parametrize(
    ("error", "told"), [(OSError(28, "No space left"), ConfigError), (Killed(), Killed)]
)
async def test_a_note_that_cannot_be_written_leaves_no_key(
    enrol, monkeypatch, tmp_path, error, told
):
    def full(*_):
        raise error

    monkeypatch.setattr("byoi_agent.identity.attempt.write_private", full)
    with pytest.raises(told):
        await enrol(Asking())
    assert left(tmp_path) == ([], False)


async def test_an_enrolment_that_was_begun_can_be_given_up(enrol, store, tmp_path):
    file = tmp_path / "enrolling.json"
    assert give_up(file, [store], ()) == []
    ask = Asking(AnswerLost("cut", retry=True), AnswerLost("cut", retry=True))
    with pytest.raises(AnswerLost):
        await enrol(ask)
    [told] = give_up(file, [store], ())
    assert "http://console that was begun here is given up" in told
    assert left(tmp_path) == ([], False)
    with pytest.raises(AnswerLost):
        await enrol(ask)
    assert "is still in the file store" in give_up(file, [], ())[1]
