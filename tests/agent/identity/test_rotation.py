from __future__ import annotations

import base64
import json
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from byoi_agent.errors import IdentityError, LinkError
from byoi_agent.identity import rotation as module
from byoi_agent.identity.console_http import Reply
from byoi_agent.identity.credential_store import CredentialStore
from byoi_agent.identity.enrolment import load_identity
from byoi_agent.identity.file_store import FileStore
from byoi_agent.identity.keys import fingerprint_of, public_key_text, raw_public_key, to_pem
from byoi_agent.identity.record import EnrolmentRecord, read_record, write_record
from byoi_agent.identity.rotation import KeyRotation

ORIGIN = "https://console.example"


class Crash(BaseException):
    """The process ends here and now."""


class Console:
    """What the console does with keys: both good until the new one has been used."""

    def __init__(self, first):
        self.good = {"k1": raw_public_key(first)}
        self.taken = []
        self.answer = None
        self.base = ORIGIN

    def admits(self, identity):
        return self.good.get(identity.key_id) == raw_public_key(identity.key)

    def connect(self, identity):
        assert self.admits(identity), "the console sends the node away for good"
        self.good = {identity.key_id: self.good[identity.key_id]}

    async def post(self, path, body):
        assert path == "/agent/v1/keys"
        if self.answer is not None:
            if isinstance(self.answer, BaseException):
                raise self.answer
            return self.answer
        public = base64.b64decode(body["public_key"])
        signed = b"byoi-rotate-v1\0" + ORIGIN.encode() + b"\0n1\0" + public
        try:
            for key, name in ((self.good[body["key_id"]], "signature"), (public, "proof")):
                Ed25519PublicKey.from_public_bytes(key).verify(base64.b64decode(body[name]), signed)
        except (KeyError, InvalidSignature):
            return Reply(403, b'{"error": {"message": "not this node\'s key"}}')
        if public not in self.taken:
            self.taken.append(public)
        key_id = f"k{self.taken.index(public) + 2}"
        self.good[key_id] = public
        return Reply(200, json.dumps({"key_id": key_id}).encode())

    def understand(self, reply, answer, doing):
        if reply.status != 200:
            raise IdentityError(f"the console refused to {doing}")
        return answer.model_validate_json(reply.text)


class Machine:
    """A node's disk, from which one process after the other starts."""

    def __init__(self, folder, key):
        self.record_file = folder / "identity.json"
        self.keys = folder / "keys"
        self.stores = [FileStore(self.keys)]
        self.console = Console(key)
        self.stores[0].save(key)
        write_record(
            self.record_file,
            EnrolmentRecord(
                node_id="n1",
                key_id="k1",
                fingerprint=fingerprint_of(key),
                key_store="file",
                console_key=public_key_text(key),
                console_key_id="c1",
                origin=ORIGIN,
                console_url=ORIGIN,
            ),
        )

    @property
    def record(self):
        return read_record(self.record_file)

    def load(self):
        return load_identity(self.record_file, self.stores)

    def process(self):
        return KeyRotation(self.record_file, self.stores, self.console, now_ms=lambda: 1000)

    @property
    def private_halves(self):
        return sorted(path.stem for path in self.keys.iterdir())


@pytest.fixture
def machine(tmp_path, key):
    return Machine(tmp_path, key)


async def rotate(machine):
    """What a node does from its start to the welcome of the newest key."""
    process = machine.process()
    try:
        present = machine.load()
        if present.successor is not None:  # the link tries it first
            machine.console.connect(present.successor)
            await process.settle(present.successor)
            return present.successor
        successor = await process.prepare(present)
        machine.console.connect(successor)
        await process.settle(successor)
        return successor
    finally:
        process.close()


async def test_a_new_key_takes_the_place_of_the_old_one_whose_public_half_stays(machine, key):
    new = await rotate(machine)
    record = machine.record
    assert (record.key_id, record.fingerprint) == ("k2", fingerprint_of(new.key))
    assert record.public_key == public_key_text(new.key)
    assert record.pending is None
    [old] = record.retired
    assert (old.key_id, old.public_key, old.key_store) == ("k1", public_key_text(key), None)
    assert machine.private_halves == [fingerprint_of(new.key)]
    assert raw_public_key(machine.load().key) == raw_public_key(new.key)


async def test_both_keys_are_there_until_the_new_one_was_welcomed(machine, key):
    process = machine.process()
    new = await process.prepare(machine.load())
    assert machine.private_halves == sorted([fingerprint_of(key), fingerprint_of(new.key)])
    started = machine.load()
    assert (started.key_id, started.successor.key_id) == ("k1", "k2")
    assert machine.console.admits(started)
    assert machine.console.admits(started.successor)
    process.close()


async def test_keys_follow_one_another(machine):
    for _ in range(3):
        await rotate(machine)
    assert [old.key_id for old in machine.record.retired] == ["k1", "k2", "k3"]
    assert machine.record.key_id == "k4"
    assert len(machine.private_halves) == 1


async def test_a_second_try_before_the_first_link_goes_on_with_the_same_key(machine):
    process = machine.process()
    first = await process.prepare(machine.load())
    again = await process.prepare(machine.load())
    assert raw_public_key(first.key) == raw_public_key(again.key)
    assert len(machine.console.taken) == 1
    process.close()


class Dying:
    """Ends the process before or after its nth step on the disk or at the console."""

    def __init__(self, monkeypatch, machine):
        self.left = None
        self.when = "before"
        self.machine = machine
        for owner, name in (
            (module, "write_record"),
            (FileStore, "save"),
            (FileStore, "delete"),
        ):
            monkeypatch.setattr(owner, name, self.dying(getattr(owner, name)))
        post = machine.console.post

        async def dying_post(path, body):
            self.count("before")
            reply = await post(path, body)
            self.count("after")
            return reply

        machine.console.post = dying_post

    def dying(self, step):
        def run(*arguments):
            self.count("before")
            step(*arguments)
            self.count("after")

        return run

    def count(self, when):
        if self.left is None or when != self.when:
            return
        self.left -= 1
        if self.left < 0:
            self.left = None
            raise Crash


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("at", range(9))
async def test_a_crash_at_any_step_leaves_a_node_that_comes_back_and_goes_on(
    machine, monkeypatch, key, at, when
):
    dying = Dying(monkeypatch, machine)
    dying.left, dying.when = at, when
    with suppress(Crash):
        await rotate(machine)
    crashed = dying.left is None
    dying.left = None
    assert crashed == (at < 8), "each step is cut once: there are eight"

    started = machine.load()
    newest = started.successor or started
    assert machine.console.admits(newest), "the node would be locked out"
    process = machine.process()
    unfinished = await process.begin(started)
    process.close()
    if unfinished or started.successor is not None:
        await rotate(machine)
    final = machine.load()
    assert machine.console.admits(final)
    assert final.successor is None
    assert machine.private_halves == [machine.record.fingerprint]
    known = {old.fingerprint: old.public_key for old in machine.record.retired}
    if machine.record.fingerprint != fingerprint_of(key):
        assert known == {fingerprint_of(key): public_key_text(key)}


async def test_a_console_that_refuses_leaves_all_as_it_was(machine, key):
    machine.console.answer = Reply(403, b"")
    process = machine.process()
    with pytest.raises(IdentityError, match="take a new key"):
        await process.prepare(machine.load())
    assert machine.record.pending is None
    assert machine.private_halves == [fingerprint_of(key)]
    process.close()


async def test_a_console_that_cannot_be_reached_is_asked_again_with_the_same_key(machine):
    machine.console.answer = LinkError("down", retry=True)
    process = machine.process()
    with pytest.raises(LinkError):
        await process.prepare(machine.load())
    assert await process.begin(machine.load())
    begun = machine.record.pending.fingerprint
    machine.console.answer = None
    assert fingerprint_of((await process.prepare(machine.load())).key) == begun
    assert not await process.begin(machine.load())
    process.close()


async def test_a_key_that_the_console_does_not_know_any_more_is_forgotten(machine, key):
    process = machine.process()
    new = await process.prepare(machine.load())
    await process.drop(new)
    await process.drop(new)
    assert machine.record.pending is None
    assert machine.private_halves == [fingerprint_of(key)]
    process.close()


async def test_settling_twice_is_no_news(machine):
    new = await rotate(machine)
    before = machine.record
    process = machine.process()
    await process.settle(new)
    process.close()
    assert machine.record == before


async def test_a_disk_that_is_full_is_an_error_of_the_identity(machine, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    process = machine.process()
    monkeypatch.setattr(module, "write_record", full)
    with pytest.raises(IdentityError, match="No space left"):
        await process.prepare(machine.load())
    process.close()


async def test_the_disk_is_used_in_a_thread_of_its_own(machine, monkeypatch):
    seen = set()
    write = module.write_record
    monkeypatch.setattr(
        module,
        "write_record",
        lambda *of: (seen.add(threading.current_thread().name), write(*of)),
    )
    await rotate(machine)
    assert seen == {"node keys_0"}


# A key that systemd hands in.


@pytest.fixture
def sealed(tmp_path, key):
    """A machine whose first key is a credential."""
    machine = Machine(tmp_path, key)
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "device-key").write_bytes(to_pem(key))
    machine.stores[0].delete(fingerprint_of(key))
    machine.stores.insert(0, CredentialStore({"CREDENTIALS_DIRECTORY": str(folder)}))
    record = machine.record.model_copy(update={"key_store": "credential"})
    write_record(machine.record_file, record)
    machine.credential = folder / "device-key"
    return machine


async def test_a_credential_cannot_be_written_so_the_new_key_lies_in_a_file(sealed, key):
    new = await rotate(sealed)
    assert new.key_store == "file"
    [old] = sealed.record.retired
    assert (old.fingerprint, old.key_store) == (fingerprint_of(key), "credential")
    assert sealed.load().key_store == "file"
    assert sealed.private_halves == [fingerprint_of(new.key)]


async def test_the_new_key_sealed_by_the_administrator_is_found_and_noted(sealed):
    new = await rotate(sealed)
    sealed.credential.write_bytes(to_pem(new.key))
    Path(sealed.keys / f"{fingerprint_of(new.key)}.key").unlink()
    started = sealed.load()
    assert started.key_store == "credential"
    process = sealed.process()
    assert not await process.begin(started)
    process.close()
    assert sealed.record.key_store == "credential"
    assert [old.key_store for old in sealed.record.retired] == [None]


async def test_a_key_that_is_found_in_its_file_alone_is_noted_there(sealed, key):
    sealed.stores[1].save(key)
    sealed.stores[0] = CredentialStore({})
    started = sealed.load()
    assert started.key_store == "file"
    process = sealed.process()
    assert not await process.begin(started)
    process.close()
    assert sealed.record.key_store == "file"
    assert sealed.private_halves == [fingerprint_of(key)]


async def test_a_store_that_cannot_be_asked_does_not_keep_a_key_from_being_forgotten(machine, key):
    class Locked:
        name = "keyring"

        def save(self, key):
            raise IdentityError("locked")

        delete = save

    machine.stores.insert(0, Locked())
    process = machine.process()
    new = await process.prepare(machine.load())
    assert new.key_store == "file"
    await process.drop(new)
    assert machine.private_halves == [fingerprint_of(key)]
    process.close()


async def test_where_no_store_takes_a_key_nothing_has_begun(machine, key, monkeypatch):
    def refuse(*_):
        raise IdentityError("locked")

    monkeypatch.setattr(FileStore, "save", refuse)
    process = machine.process()
    with pytest.raises(IdentityError, match="locked"):
        await process.prepare(machine.load())
    assert machine.record.pending is None
    process.close()


async def test_without_enrolment_there_is_nothing_to_change(tmp_path, key):
    process = KeyRotation(tmp_path / "none", [], Console(key), now_ms=lambda: 0)
    identity = Machine(tmp_path, Ed25519PrivateKey.generate()).load()
    assert not await process.begin(identity)
    with pytest.raises(IdentityError, match="not enrolled"):
        await process.prepare(identity)
    process.close()
