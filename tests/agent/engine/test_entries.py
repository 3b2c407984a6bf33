from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from byoi_agent.config.paths import Paths
from byoi_agent.config.settings import Settings
from byoi_agent.config.tables import AdapterSetting
from byoi_agent.engine.entries import ONLY, entries_of
from byoi_agent.engine.view import ServedModel
from byoi_agent.errors import ConfigError
from byoi_wire.ids import ModelId

PATHS = Paths(Path("/s"), Path("/c"), Path("/r"))
LORA = AdapterSetting(name="lora", path=Path("/lora"))


@pytest.fixture
def made():
    """Every kind that was made: its settings, its socket, its adapters."""
    return []


@pytest.fixture
def entries(made):
    def entries(before=(), **settings):
        def make_kind(chosen, paths, adapters):
            kind = SimpleNamespace(slots=chosen.slots or 4, address=paths.engine_socket.name)
            name = ModelId(Path(chosen.model or "default").name)
            kind.offers = () if "://" in chosen.engine else (ServedModel(name, name, ()),)
            made.append((chosen, paths.engine_socket.name, adapters))
            return kind

        return entries_of(Settings(**settings), PATHS, before, make_kind)

    return entries


def models(*tables):
    return tuple({"model": table} if isinstance(table, str) else table for table in tables)


def test_without_models_there_is_the_one_engine_of_before(entries, made):
    (only,) = entries(model="a")
    assert (only.key, only.is_standing, made[0][1]) == (ONLY, True, "engine.sock")


def test_it_stays_until_something_of_it_changes(entries):
    (first,) = before = entries(model="a", slots=4)
    assert entries(before, model="a", slots=4, log_level="debug")[0].kind is first.kind
    (fewer,) = entries(before, model="a", slots=2)
    assert (fewer.kind, fewer.edition) == (first.kind, 0)
    (more,) = entries(before, model="a", slots=5)
    (other,) = entries(before, model="b", slots=4)
    assert [more.edition, other.edition] == [1, 1]


def test_each_model_has_its_own_engine_socket_and_wishes(entries, made):
    first, second = entries(
        models=models(
            {
                "model": "a",
                "priority": 90,
                "load": "start",
                "memory_gib": 0.5,
                "idle_unload_minutes": 2,
            },
            {"model": "/models/b", "context_tokens": 512, "slots": 2, "adapters": (LORA,)},
        ),
        context_tokens=1024,
        idle_unload_minutes=10,
        tensor_parallel=2,
    )
    assert [first.key, second.key] == ["a", "b"]
    assert [each[1] for each in made] == ["m0.sock", "m1.sock"]
    assert made[1][2] == (LORA,)
    assert (first.priority, first.loads_at_start, first.memory_bytes) == (90, True, 2**29)
    assert (first.idle_unload_seconds, second.idle_unload_seconds) == (120.0, 600.0)
    assert (first.settings.context_tokens, second.settings.context_tokens) == (1024, 512)
    assert (second.settings.slots, second.settings.tensor_parallel) == (2, 2)
    assert not first.is_standing


def test_pinned_gpus_work_together(entries):
    pinned, alone = entries(
        models=models({"model": "a", "gpus": (2, 3)}, {"model": "b"}), engine="vllm"
    )
    assert (pinned.gpus, pinned.settings.tensor_parallel) == ((2, 3), 2)
    assert (alone.gpus, alone.settings.tensor_parallel) == (None, 1)


def test_a_server_that_runs_already_stands_and_is_called_by_its_model(entries):
    (entry,) = entries(models=models({"model": "x", "engine": "http://127.0.0.1:1"}))
    assert (entry.key, entry.is_standing) == ("x", True)


def test_a_reload_makes_only_what_changed(entries, made):
    before = entries(models=models("a", "b"))
    made.clear()
    after = entries(before, models=models({"model": "b", "priority": 9}, "c", "a"))
    assert [each[0].model for each in made] == ["c"]
    assert [entry.key for entry in after] == ["b", "c", "a"]
    assert [entry.number for entry in after] == [1, 2, 0]
    assert (after[0].kind, after[0].priority, after[0].edition) == (before[1].kind, 9, 0)


@pytest.mark.parametrize("change", [{"context_tokens": 512}, {"slots": 9}, {"adapters": (LORA,)}])
def test_one_that_changed_is_another_edition(entries, change):
    before = entries(models=models("a"))
    (after,) = entries(before, models=models({"model": "a", **change}))
    assert (after.edition, after.number) == (1, 1)


def test_other_prices_need_no_other_engine(entries, made):
    dear, cheap = ({"currency": "EUR", "input": price, "output": price} for price in (2, 1))
    before = entries(models=models({"model": "a", "prices": dear}, "b"))
    now = entries(before, models=models("b", {"model": "a", "prices": cheap}))
    assert [(one.key, one.prices and one.prices.input) for one in now] == [("b", None), ("a", 1)]
    assert len(made) == 2


def test_the_same_model_by_another_path_is_the_same_key(entries):
    before = entries(models=models("/one/a"))
    (after,) = entries(before, models=models("/two/a"))
    assert (after.key, after.edition) == ("a", 1)


def test_what_is_still_there_keeps_its_socket_from_others(entries):
    before = entries(models=models("a"))
    gone = replace(before[0], key="old")
    (after,) = entries((gone,), models=models("b"))
    assert after.number == 1


@pytest.mark.parametrize(
    "tables",
    [models("a", "a"), models("/one/a", "/two/a"), models("a", {"model": "b/a"})],
)
def test_two_of_one_name_are_refused(entries, tables):
    with pytest.raises(ConfigError, match=r"two .* are called a"):
        entries(models=tables)
