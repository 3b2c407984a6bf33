from __future__ import annotations

from byoi_agent.config.settings import LIVE, Settings
from byoi_agent.lifecycle.change import Change, change

STARTED = Settings(slots=2, console="http://127.0.0.1:1")


def test_the_same_settings_change_nothing():
    assert change(STARTED, STARTED, STARTED) == Change()


def test_what_can_change_now_is_told_from_what_needs_a_restart():
    wanted = Settings(slots=4, log_level="debug", control_port=8, console="http://127.0.0.1:2")
    found = change(STARTED, STARTED, wanted)
    assert found.now == ("slots", "log_level")
    assert found.at_restart == ("console", "control_port")
    assert not found.needs_engine


def test_what_was_taken_before_is_no_news_but_a_restart_stays_needed():
    held = wanted = Settings(slots=4, control_port=8, console="http://127.0.0.1:1")
    assert change(STARTED, held, wanted) == Change((), ("control_port",))


def test_another_engine_key_or_model_needs_the_engine():
    for name in ("engine", "engine_api_key", "model"):
        assert change(STARTED, STARTED, STARTED.model_copy(update={name: "x"})).needs_engine


def test_every_live_setting_is_a_setting():
    assert set(Settings.model_fields) >= LIVE
