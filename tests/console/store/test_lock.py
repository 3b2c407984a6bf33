from __future__ import annotations

import os
import stat

import pytest

from byoi_console.errors import ConfigError, StateInUse
from byoi_console.store.lock import serving_from


def test_a_second_one_is_told_who_has_it_and_what_to_do(tmp_path):
    file = tmp_path / "console.sqlite3"
    with (
        serving_from(file),
        pytest.raises(StateInUse, match=rf"pid {os.getpid()}\); stop that one, or choose another"),
        serving_from(file),
    ):
        pytest.fail("two consoles at once")


def test_it_is_free_again_afterwards_and_for_its_owner_only(tmp_path):
    file = tmp_path / "console.sqlite3"
    for _ in range(2):
        with serving_from(file):
            pass
    assert stat.S_IMODE((tmp_path / "console.sqlite3.lock").stat().st_mode) == 0o600


def test_two_databases_do_not_know_each_other(tmp_path):
    with serving_from(tmp_path / "a.sqlite3"), serving_from(tmp_path / "b.sqlite3"):
        pass


def test_a_planted_link_is_not_followed(tmp_path):
    (tmp_path / "console.sqlite3.lock").symlink_to(tmp_path / "elsewhere")
    with (
        pytest.raises(ConfigError, match="cannot write"),
        serving_from(tmp_path / "console.sqlite3"),
    ):
        pytest.fail("followed")
    assert not (tmp_path / "elsewhere").exists()
