from __future__ import annotations

import pytest

from byoi_agent.config.paths import resolve
from byoi_agent.config.settings import Settings
from byoi_agent.errors import IdentityError
from byoi_agent.identity.stores import keep, named, stores_for


class Store:
    def __init__(self, name, problem=None):
        self.name = name
        self.problem = problem
        self.saved = []

    def save(self, key):
        if self.problem:
            raise IdentityError(self.problem)
        self.saved.append(key)


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("auto", ["credential", "keyring", "file"]),
        ("file", ["file"]),
        ("keyring", ["keyring"]),
        ("credential", ["credential"]),
    ],
)
def test_the_order_is_the_safest_first_or_the_owners_choice(tmp_path, choice, names):
    settings = Settings(data_dir=tmp_path, key_store=choice)
    stores = stores_for(settings, resolve(settings, {}), {})
    assert [store.name for store in stores] == names


def test_a_key_goes_to_the_first_store_that_takes_it(key):
    stores = [Store("a", "locked"), Store("b"), Store("c")]
    kept = keep(key, stores)
    assert kept.store.name == "b"
    assert kept.passed_over == ("locked",)
    assert not stores[2].saved


def test_where_none_takes_it_the_last_reason_is_told(key):
    with pytest.raises(IdentityError, match="absent"):
        keep(key, [Store("a", "locked"), Store("b", "absent")])


def test_a_store_that_the_settings_rule_out_is_named():
    with pytest.raises(IdentityError, match="keyring"):
        named("keyring", [Store("file")])


def test_a_service_of_windows_keeps_no_key_in_an_administrators_keyring(tmp_path):
    paths = resolve(Settings(data_dir=tmp_path), {})
    service = stores_for(Settings(), paths, {"STATE_DIRECTORY": str(tmp_path)}, "win32")
    assert [store.name for store in service] == ["credential", "file"]
    person = stores_for(Settings(), paths, {}, "win32")
    assert [store.name for store in person] == ["credential", "keyring", "file"]
