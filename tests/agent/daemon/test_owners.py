from __future__ import annotations

import asyncio

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from byoi_agent.config.availability import Idle
from byoi_agent.config.paths import prepare, resolve
from byoi_agent.config.settings import Settings
from byoi_agent.daemon.daemon import Daemon
from byoi_agent.hardware.devices import DeviceReading
from byoi_agent.hardware.watch import HardwareView
from byoi_agent.identity.keys import Identity
from byoi_agent.identity.record import EnrolmentRecord, write_record
from byoi_wire.offers import Host

HOT = DeviceReading(0, "nvidia", "card", temperature_celsius=99.0, slowdown_celsius=90.0)


@pytest.fixture
def paths(tmp_path):
    settings = Settings(
        data_dir=tmp_path / "d", cache_dir=tmp_path / "c", runtime_dir=tmp_path / "r"
    )
    made = resolve(settings, {})
    prepare(made)
    return made


@pytest.fixture
def daemon(paths):
    """A node that is built and does not run."""

    def build(**settings):
        identity = Identity(
            node_id="n1",
            key_id="k1",
            key=Ed25519PrivateKey.generate(),
            console_key=Ed25519PrivateKey.generate().public_key(),
            console_key_id="c1",
            origin="http://127.0.0.1:1",
            console_url="http://127.0.0.1:1",
        )
        engine = "http://127.0.0.1:1/v1"
        return Daemon(Settings(engine=engine, key_store="file", **settings), paths, identity)

    return build


def enrolled(paths, **facts):
    record = EnrolmentRecord(
        node_id="n1",
        key_id="k1",
        fingerprint="f",
        key_store="file",
        console_key="c",
        console_key_id="c1",
        origin="o",
        console_url="http://127.0.0.1:1",
        **facts,
    )
    write_record(paths.identity_file, record)


async def test_the_mode_chosen_at_the_enrolment_holds_where_nothing_else_is_said(daemon, paths):
    enrolled(paths, mode="idle")
    assert daemon()._board.view.availability.mode_source == "enrolment"
    assert daemon(mode="scheduled")._board.view.availability.mode == "scheduled"


async def test_without_an_enrolment_that_can_be_read_the_node_is_dedicated(daemon, paths):
    assert daemon()._board.view.availability.mode == "dedicated"
    paths.identity_file.write_text("{")
    assert daemon()._board.view.availability.mode_source == "default"


async def test_a_pause_is_on_the_board_before_the_node_runs(daemon):
    first = daemon()
    first._owners.availability.pause(None, finish=False, actor="token")
    assert first._board.view.availability.code == "paused"
    assert daemon()._board.view.availability.code == "paused"


async def test_a_look_at_the_hardware_is_heard(daemon):
    node = daemon()
    node._owners.hardware_read(HardwareView(Host(os="x", architecture="y"), (HOT,)))
    assert node._board.view.availability.code == "hot"


async def test_settings_are_taken_by_whoever_goes_by_them(daemon):
    node = daemon(mode="idle")
    node._owners.take(Settings(mode="scheduled", idle=Idle(after_minutes=1)))
    assert node._board.view.availability.mode == "scheduled"


async def test_what_runs_for_the_owner_ends_with_the_node(daemon):
    owners = daemon(mode="idle")._owners
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(owners.run())
        await asyncio.sleep(0)
        running.cancel()
    assert running.cancelled()


def test_a_node_of_any_mode_is_built_before_a_loop_runs(daemon):
    for mode in ("dedicated", "idle", "scheduled"):
        assert daemon(mode=mode)._board.view.availability.mode == mode


async def test_people_are_looked_at_in_the_modes_that_make_way_for_them(daemon):
    owners = daemon()._owners
    heeded = []
    owners.sessions.heed = lambda *, is_wanted: heeded.append(is_wanted)
    following = asyncio.ensure_future(owners._heed())
    for mode in (None, "idle", "scheduled"):
        owners.availability.choose_mode(mode, "token")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    owners.availability.pin("An organisation")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    following.cancel()
    await asyncio.wait([following])
    assert heeded == [False, True, True, False]
