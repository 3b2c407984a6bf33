from __future__ import annotations

from contextlib import contextmanager

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from byoi_agent.config.lock import StateInUse, StateLock
from byoi_agent.config.paths import Paths
from byoi_agent.errors import AgentError, IdentityError
from byoi_agent.identity.file_store import FileStore
from byoi_agent.identity.keys import fingerprint_of
from byoi_agent.identity.record import (
    PendingKey,
    RetiredKey,
    read_record,
    write_record,
)
from byoi_agent.identity.sealing import TAKEN_SECONDS, Sealing

KEY, OTHER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
OLD = RetiredKey(key_id="k0", fingerprint="0" * 16, public_key="AAAA", retired_at_ms=1)


class Sealed:
    """Keeps the key; `contents` is the key itself."""

    def __init__(self):
        self.file, self.held, self.is_broken = "the credential", None, False

    def key(self):
        return self.held

    contents = key

    def seal(self, key):
        if self.is_broken:
            raise IdentityError("no TPM")
        self.held = key

    def put_back(self, contents):
        self.held = contents


class Machine:
    """One enrolled machine: its files are real, its service is what it is told to be."""

    def __init__(self, folder, record_of):
        self.record_of = record_of
        self.paths = Paths(folder / "state", folder / "cache", folder / "run")
        self.paths.state.mkdir()
        self.files = FileStore(self.paths.keys_folder)
        self.files.save(KEY)
        self.sealed, self.now, self.done = Sealed(), 0.0, []
        self.is_up, self.takes_it, self.is_waited_for = True, True, False
        self.is_account = False
        self.write()

    def write(self, **changes):
        write_record(self.paths.identity_file, self.record_of(KEY, **changes))

    @property
    def record(self):
        return read_record(self.paths.identity_file)

    @property
    def has_file(self):
        return self.files.load(fingerprint_of(KEY)) is not None

    # Its service.

    def is_running(self):
        return self.is_up

    def restart(self):
        self.done.append(f"restart with {'both' if self.has_file else 'the credential alone'}")
        if self.takes_it and self.sealed.held is not None:
            write_record(self.paths.identity_file, self.record.sealed())

    def stop(self):
        self.done.append("stop")
        self.is_waited_for = False

    def start(self):
        self.done.append("start")

    def is_watched(self):
        return self.is_waited_for

    def watch(self):
        self.done.append("watch")
        self.is_waited_for = True

    # Who looks.

    @contextmanager
    def as_account(self):
        assert not self.is_account
        self.is_account = True
        try:
            yield
        finally:
            self.is_account = False

    def pause(self, seconds):
        self.now += seconds

    @property
    def sealing(self):
        return Sealing(self.sealed, self.paths, self, self.as_account, lambda: self.now, self.pause)


@pytest.fixture
def machine(tmp_path, record_of):
    return Machine(tmp_path, record_of)


def test_the_file_goes_only_after_the_service_has_the_key_from_the_credential(machine):
    assert machine.sealing.seal().key_store == "credential"
    assert machine.done == ["restart with both"]
    assert not machine.has_file
    assert machine.sealed.held is not None


def test_a_service_that_does_not_run_is_not_started(machine):
    machine.is_up = False
    machine.write(retired=(OLD.model_copy(update={"key_store": "credential"}), OLD))
    record = machine.sealing.seal()
    assert record.key_store == "credential"
    assert [old.key_store for old in record.retired] == [None, None]
    assert machine.done == []
    assert not machine.has_file


def test_what_starts_a_stopped_service_upon_its_enrolment_rests_meanwhile(machine, monkeypatch):
    machine.is_up, machine.is_waited_for = False, True
    waited_for_meanwhile = []

    def write(file, record):
        waited_for_meanwhile.append(machine.is_waited_for)
        write_record(file, record)

    monkeypatch.setattr("byoi_agent.identity.sealing.write_record", write)
    machine.sealing.seal()
    machine.sealing.unseal()
    assert waited_for_meanwhile == [False, False]
    assert machine.done == ["stop", "watch"] * 2


def test_a_stop_that_takes_too_long_leaves_the_service_as_it_ran(machine):
    machine.sealing.seal()
    machine.done.clear()

    def stop():
        raise AgentError("did not end within 180 seconds")

    machine.stop = stop
    with pytest.raises(AgentError, match="180 seconds"):
        machine.sealing.unseal()
    assert machine.done == ["start"]
    assert machine.record.key_store == "credential"
    assert machine.sealed.held is not None


@pytest.mark.parametrize("error", [KeyboardInterrupt(), AgentError("it is not ready")])
def test_cut_off_after_the_service_took_it_the_same_goes_on_from_there(machine, error):
    restart = machine.restart

    def cut():
        restart()
        raise error

    machine.restart = cut
    with pytest.raises(type(error)):
        machine.sealing.seal()
    assert machine.record.key_store == "credential"
    assert machine.sealed.held is not None
    assert machine.has_file
    assert machine.done == ["restart with both"]
    machine.sealing.seal()
    assert not machine.has_file


def test_a_service_that_does_not_take_it_goes_on_with_the_file(machine):
    machine.takes_it = False
    machine.sealed.held = OTHER
    with pytest.raises(IdentityError, match="journalctl"):
        machine.sealing.seal()
    assert machine.now >= TAKEN_SECONDS
    assert machine.has_file
    assert machine.sealed.held is OTHER
    assert machine.done == ["restart with both"] * 2


def test_a_service_that_does_not_start_with_it_goes_on_with_the_file(machine):
    def fail():
        machine.done.append("restart")
        if machine.sealed.held is not None:
            raise AgentError("it did not start")

    machine.restart = fail
    with pytest.raises(AgentError, match="did not start"):
        machine.sealing.seal()
    assert machine.done == ["restart", "restart"]
    assert machine.has_file
    assert machine.sealed.held is None


def test_where_nothing_can_be_sealed_nothing_is_done(machine):
    machine.sealed.is_broken = True
    with pytest.raises(IdentityError, match="no TPM"):
        machine.sealing.seal()
    assert machine.done == []
    assert machine.has_file


def test_sealed_a_second_time_what_a_crash_left_is_cleared_away(machine):
    machine.sealed.held = KEY
    machine.write(key_store="credential")
    machine.sealing.seal()
    assert not machine.has_file
    assert machine.done == []
    machine.sealing.seal()


@pytest.mark.parametrize("held", [None, OTHER])
def test_no_file_is_deleted_of_a_key_that_is_sealed_elsewhere(machine, held):
    machine.sealed.held = held
    machine.write(key_store="credential")
    with pytest.raises(IdentityError, match="systemctl cat"):
        machine.sealing.seal()
    assert machine.has_file


def test_what_is_not_in_a_file_is_told(machine):
    pending = PendingKey(fingerprint="1" * 16, public_key="AAAA", since_ms=0)
    for changes, told in (
        ({"pending": pending}, "a new key is on its way"),
        ({"key_store": "keyring"}, "lies in the keyring"),
        ({"fingerprint": "2" * 16}, "there is no key in"),
    ):
        machine.write(**changes)
        with pytest.raises(IdentityError, match=told):
            machine.sealing.seal()
    machine.paths.identity_file.unlink()
    with pytest.raises(IdentityError, match="byoi enroll"):
        machine.sealing.seal()
    assert machine.has_file


def test_the_way_back_has_the_key_in_its_file_before_the_credential_goes(machine):
    machine.sealing.seal()
    machine.done.clear()
    held_meanwhile = []
    put_back = machine.sealed.put_back
    machine.sealed.put_back = lambda contents: (
        held_meanwhile.append((machine.has_file, machine.record.key_store)),
        put_back(contents),
    )
    assert machine.sealing.unseal().key_store == "file"
    assert held_meanwhile == [(True, "file")]
    assert machine.sealed.held is None
    assert machine.done == ["stop", "start"]


def test_the_way_back_of_a_state_that_somebody_uses_leaves_all_as_it_is(machine):
    machine.sealing.seal()
    machine.done.clear()
    with StateLock(machine.paths.lock_file), pytest.raises(StateInUse):
        machine.sealing.unseal()
    assert machine.record.key_store == "credential"
    assert machine.sealed.held is not None
    assert machine.done == ["stop", "start"]


def test_there_is_no_way_back_without_this_nodes_own_key(machine):
    with pytest.raises(IdentityError, match="no key is sealed"):
        machine.sealing.unseal()
    machine.sealed.held = OTHER
    with pytest.raises(IdentityError, match="holds another key"):
        machine.sealing.unseal()
    assert machine.done == []


@pytest.mark.parametrize("way", ["seal", "unseal"])
def test_a_key_that_was_left_in_its_file_is_moved_before_the_node_ever_starts(machine, way):
    machine.is_up = False
    machine.write(key_store="credential")
    record = getattr(machine.sealing, way)()
    assert record.key_store == ("credential" if way == "seal" else "file")
    assert (machine.sealed.held is None, machine.has_file) == (way == "unseal", way == "unseal")
    assert machine.done == []


@pytest.mark.parametrize("held", [None, OTHER])
def test_a_running_nodes_key_is_not_believed_to_lie_in_a_file_that_was_left(machine, held):
    machine.is_up = held is None
    machine.sealed.held = held
    machine.write(key_store="credential")
    for move in (machine.sealing.seal, machine.sealing.unseal):
        with pytest.raises(IdentityError):
            move()
    assert machine.has_file
    assert machine.sealed.held is held
