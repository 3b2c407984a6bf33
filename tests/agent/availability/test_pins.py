from __future__ import annotations

import errno
import json
import stat

import pytest

from byoi_agent.availability import pins as module
from byoi_agent.availability.pins import ASKS_PER_LINK, NOT_KEPT, PinKeeper, PinsNotKept
from byoi_agent.cli.durations import moment
from byoi_agent.errors import ConfigError
from byoi_agent.telemetry.health import Health
from byoi_wire.messages import PinAsk, PinEnd


def ask(name="pin_1", org="org_1", organisation="One", **more):
    return PinAsk(pin_id=name, org_id=org, organisation=organisation, asked_at_ms=5, **more)


class World:
    """A keeper, what the console heard of it, and whom the node is for."""

    def __init__(self, file):
        self.file = file
        self.health = Health()
        self.sent, self.held = [], []
        self.is_linked = True

    def start(self, setting=None, enrolment="node_1 at https://one"):
        self.held = []
        self.keeper = PinKeeper(
            self.file,
            setting=setting,
            enrolment=enrolment,
            send=self.send,
            dedicate=self.held.append,
            health=self.health,
            wall=lambda: 7.0,
        )
        return self.keeper

    def send(self, message):
        if self.is_linked:
            self.sent.append((message.pin_id, message.state, message.actor))
        return self.is_linked

    @property
    def dedicated_to(self):
        return self.held[-1].org_id if self.held and self.held[-1] else None


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path / "pins.json")
    world.start()
    return world


def test_a_yes_holds_and_is_told_and_kept(world):
    world.keeper.heard(ask(reason="at\nnight", asked_by="ada"))
    assert world.dedicated_to is None
    (pin,) = world.keeper.pins
    assert (pin.reason, pin.asked_by) == ("atnight", "ada")
    world.keeper.consent("pin_1", "uid 1000 (jo)")
    assert world.dedicated_to == "org_1"
    assert world.sent == [("pin_1", "asked", ""), ("pin_1", "granted", "uid 1000 (jo)")]
    assert stat.S_IMODE(world.file.stat().st_mode) == 0o600
    world.start()
    assert world.dedicated_to == "org_1"


def test_a_yes_to_one_console_is_none_to_another_and_a_no_stays_one(world):
    world.keeper.heard(ask())
    world.keeper.consent("pin_1", "jo")
    world.start(enrolment="node_2 at https://two")
    assert world.dedicated_to is None
    assert world.keeper.pins == ()
    world.start(setting="One", enrolment="node_2 at https://two")
    world.keeper.heard(ask("pin_2"))
    world.keeper.refuse("pin_2", "jo")
    world.start(setting="One", enrolment="node_3 at https://one")
    world.keeper.heard(ask("pin_3"))
    assert world.dedicated_to is None


def test_what_was_decided_without_a_link_holds_at_once_and_is_told_later(world):
    world.keeper.heard(ask())
    world.keeper.consent("pin_1", "jo")
    world.is_linked, world.sent = False, []
    world.keeper.refuse("pin_1", "jo")
    assert world.dedicated_to is None
    assert world.sent == []
    world.start()
    assert world.dedicated_to is None
    world.is_linked = True
    world.keeper.link_online()
    assert world.sent == [("pin_1", "withdrawn", "jo")]


def test_a_console_that_asks_again_hears_the_answer_again(world):
    world.keeper.heard(ask())
    world.keeper.consent("pin_1", "jo")
    world.sent.clear()
    world.keeper.heard(ask())
    assert world.sent == [("pin_1", "granted", "jo")]


def test_a_console_can_end_a_pin_and_only_that(world):
    world.keeper.heard(ask())
    world.keeper.consent("pin_1", "jo")
    world.keeper.heard(PinEnd(pin_id="pin_1"))
    assert world.dedicated_to is None
    assert world.keeper.pins == ()


def test_the_setting_consents_and_its_change_takes_that_back(world):
    world.start(setting="One")
    world.keeper.heard(ask())
    assert world.dedicated_to == "org_1"
    world.keeper.take(None)
    assert world.dedicated_to is None
    assert world.sent[-1] == ("pin_1", "withdrawn", "the setting dedicated_to")


def test_a_setting_changed_while_the_node_was_off_holds_from_the_start(world):
    world.start(setting="One")
    world.keeper.heard(ask())
    world.start(setting=None)
    assert world.dedicated_to is None


def test_a_yes_that_the_disk_does_not_take_does_not_hold_and_a_no_does(world, monkeypatch):
    world.keeper.heard(ask())
    world.keeper.heard(ask("pin_2", "org_2", "Two"))
    world.keeper.consent("pin_1", "jo")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "write_private", full)
    world.keeper.refuse("pin_1", "jo")
    assert world.dedicated_to is None
    with pytest.raises(PinsNotKept, match=r"pins\.json"):
        world.keeper.consent("pin_2", "jo")
    assert world.dedicated_to is None
    assert [warning.name for warning in world.health.warnings] == [NOT_KEPT]


def test_a_file_that_cannot_be_understood_is_no_consent(world):
    world.keeper.heard(ask())
    world.keeper.consent("pin_1", "jo")
    world.file.write_text("{")
    world.start()
    assert world.dedicated_to is None
    assert world.keeper.pins == ()


def test_a_console_that_asks_without_end_is_not_listened_to(world):
    for n in range(ASKS_PER_LINK + 10):
        world.keeper.heard(ask(f"pin_{n}"))
    assert world.keeper.pins[-1].pin_id == f"pin_{ASKS_PER_LINK - 1}"
    world.keeper.link_online()
    world.keeper.heard(ask("pin_late"))
    assert world.keeper.pins[-1].pin_id == "pin_late"


def test_an_answer_to_nothing_is_told(world):
    with pytest.raises(ConfigError):
        world.keeper.consent("pin_1", "jo")


def test_a_moment_that_no_clock_can_show_is_one_that_every_clock_can(world):
    latest = 32_503_680_000_000
    world.keeper.heard(ask().model_copy(update={"asked_at_ms": 2**53 - 1}))
    assert world.keeper.pins[0].asked_at_ms == latest
    moment(world.keeper.pins[0].asked_at_ms / 1000, 7.0)
    kept = json.loads(world.file.read_text())
    kept["pins"][0] |= {"asked_at_ms": 2**53 - 1, "at_ms": -(2**53)}
    world.file.write_text(json.dumps(kept))  # as another version left it
    (pin,) = world.start().pins
    assert (pin.asked_at_ms, pin.at_ms) == (latest, 0)
