from __future__ import annotations

import pytest

from byoi_agent.config.settings import Settings
from byoi_agent.errors import ConfigError, EngineError
from byoi_agent.lifecycle.change import Change
from byoi_agent.lifecycle.reload import NOT_TAKEN, RESTART_NEEDED, Reload
from byoi_agent.telemetry.health import Health

STARTED = Settings(slots=2)


class Owner:
    """Settings that a test may write, and a node that takes them."""

    def __init__(self):
        self.settings = STARTED
        self.taken = []
        self.health = Health()
        self.fault = None
        self.reload = Reload(STARTED, reread=self._reread, take=self._take, health=self.health)

    @property
    def warnings(self):
        return {warning.name: warning.text for warning in self.health.warnings}

    def _reread(self):
        if isinstance(self.settings, Exception):
            raise self.settings
        return self.settings

    def _take(self, settings, change):
        if self.fault:
            raise self.fault
        self.taken.append((settings, change))


@pytest.fixture
def owner():
    return Owner()


def test_what_can_change_is_taken_and_holds(owner):
    owner.settings = Settings(slots=4)
    assert owner.reload.reload() == Change(now=("slots",))
    assert owner.taken == [(owner.settings, Change(now=("slots",)))]
    assert owner.reload.settings.slots == 4
    assert owner.warnings == {}


def test_a_bad_file_changes_nothing_and_stays_told_until_it_is_mended(owner):
    owner.settings = ConfigError("config.toml:2: unknown key 'slotz'")
    with pytest.raises(ConfigError):
        owner.reload.reload()
    assert owner.taken == []
    assert owner.reload.settings is STARTED
    assert "unknown key 'slotz'" in owner.warnings[NOT_TAKEN]
    owner.settings = STARTED
    owner.reload.reload()
    assert owner.warnings == {}


@pytest.mark.parametrize(
    "fault", [ConfigError("no such model"), EngineError("the GPU's driver does not answer")]
)
def test_what_the_node_cannot_take_changes_nothing_either(owner, fault):
    owner.settings, owner.fault = Settings(model="none"), fault
    with pytest.raises(ConfigError, match=str(fault)):
        owner.reload.reload()
    assert owner.reload.settings is STARTED
    assert str(fault) in owner.warnings[NOT_TAKEN]


def test_what_needs_a_restart_is_named_until_it_is_as_it_was(owner):
    owner.settings = Settings(slots=2, control_port=9)
    assert owner.reload.reload().at_restart == ("control_port",)
    assert "control_port" in owner.warnings[RESTART_NEEDED]
    owner.reload.reload()
    assert RESTART_NEEDED in owner.warnings
    owner.settings = STARTED
    owner.reload.reload()
    assert owner.warnings == {}
