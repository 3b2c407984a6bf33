from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from byoi_agent.engine.budget import ALL
from byoi_agent.engine.entries import Entry
from byoi_agent.engine.faces import as_one, face_of, face_of_standing
from byoi_agent.engine.residency import resident as r
from byoi_agent.engine.view import EngineView, ServedModel
from byoi_wire.ids import ModelId

OFFERED = ServedModel(ModelId("a"), "a", ("/v1/chat/completions",))
KIND = SimpleNamespace(name="llamacpp", version="1", slots=4, offers=(OFFERED,))
ENTRY = Entry("a", KIND, None, priority=70)
MODEL = r.Model("a", {ALL: 5})
READY = EngineView("ready", "llamacpp", (OFFERED,), slots=4)
STOPPED = EngineView("stopped", "llamacpp", reason="long ago")


def face(place, view=STOPPED, **facts):
    is_wanted = facts.pop("is_wanted", True)
    resident = r.Resident(MODEL, place, **facts)
    return face_of(ENTRY, view, resident, load_seconds=2.5, is_wanted=is_wanted)


@pytest.mark.parametrize(
    ("place", "view", "state", "reason"),
    [
        (r.Out(), STOPPED, "stopped", None),
        (r.Loading(0.0), STOPPED, "starting", None),
        (r.Asleep(), STOPPED, "asleep", None),
        (r.Leaving(), READY, "draining", None),
        (
            r.Loaded(0.0, closes=True),
            READY,
            "draining",
            "it gives way to another model once its requests have ended",
        ),
    ],
)
def test_what_is_not_loaded_can_be_asked_all_the_same(place, view, state, reason):
    seen = face(place, view)
    assert (seen.state, seen.reason, seen.slots) == (state, reason, 0)
    (model,) = seen.models
    assert (model.id, model.is_loaded, model.load_seconds, model.slots) == ("a", False, 2.5, 4)


def test_what_is_loaded_serves():
    seen = face(r.Loaded(0.0), READY)
    assert (seen.state, seen.slots, seen.models[0].is_loaded) == ("ready", 4, True)
    assert (seen.key, seen.priority, seen.memory_bytes) == ("a", 70, 5)


def test_one_that_nobody_loads_says_of_itself_what_it_is():
    shown = face_of_standing(ENTRY, READY, is_wanted=True, follows=False)
    assert shown is READY
    going = face_of_standing(ENTRY, READY, is_wanted=False, follows=False)
    assert (going.state, going.models, going.slots) == ("draining", (), 0)
    assert going.reason == "it goes once its requests have ended"
    coming = face_of_standing(ENTRY, STOPPED, is_wanted=True, follows=True)
    assert (coming.state, coming.slots, coming.models[0].is_loaded) == ("stopped", 0, False)
    assert coming.models[0].slots == 4


def test_one_that_its_owner_put_to_sleep_offers_nothing_and_is_asleep_where_it_never_ran():
    never_ran, ends = (
        face_of_standing(ENTRY, view, is_wanted=True, follows=True, sleeps=True)
        for view in (STOPPED, replace(READY, state="draining"))
    )
    assert (never_ran.state, never_ran.models) == ("asleep", ())
    assert (ends.state, ends.models, ends.slots) == ("draining", (), 0)


@pytest.mark.parametrize(
    ("place", "state", "mend"),
    [
        (
            r.Unfit("too large"),
            "failed",
            "; give it less (context_tokens, slots), or more (memory_budget_gib, gpus)",
        ),
        (r.Failed("too large", None), "failed", "; once that is mended: byoi engines wake a"),
        (r.Failed("too large", 9.0), "backing_off", ""),
        (r.Leaving(failure="too large"), "backing_off", ""),
    ],
)
def test_nobody_waits_for_what_cannot_be_loaded_and_its_owner_is_told(place, state, mend):
    seen = face(place)
    assert (seen.state, seen.reason, seen.models) == (state, "too large" + mend, ())


def test_nobody_waits_for_what_is_held_doubted_or_gone_for_good():
    assert face(r.Out(), is_held=True).state == "asleep"
    assert face(r.Out(), is_held=True).models == ()
    doubted = EngineView("suspect", "llamacpp", reason="silent")
    assert face(r.Loaded(0.0), doubted).models == ()
    assert face(r.Loaded(0.0, closes=True), READY, is_wanted=False).models == ()


def test_before_the_memory_is_known_it_can_be_asked():
    seen = face_of(ENTRY, STOPPED, None, load_seconds=None)
    assert (seen.state, len(seen.models), seen.memory_bytes) == ("stopped", 1, None)


def test_one_engine_that_stands_is_all_there_is():
    assert as_one([READY]) is READY
    assert as_one([STOPPED]) is STOPPED


def test_all_are_ready_as_soon_as_one_can_be_asked():
    one = as_one([face(r.Out())])
    assert (one.state, one.slots, one.models[0].is_loaded) == ("ready", 0, False)


def test_a_model_that_two_have_is_the_loaded_one_in_its_first_place():
    other = EngineView("ready", "vllm", (ServedModel(ModelId("b"), "b", ()), OFFERED), slots=8)
    one = as_one([face(r.Out()), other])
    assert [(model.id, model.is_loaded) for model in one.models] == [("a", True), ("b", True)]
    assert (one.kind, one.version, one.slots) == ("several", None, 8)


def test_of_several_that_cannot_be_asked_it_says_why():
    one = as_one([face(r.Unfit("too large")), face(r.Failed("no memory", 9.0))])
    assert (one.state, one.reason, one.kind, one.version) == (
        "backing_off",
        "too large; give it less (context_tokens, slots), or more (memory_budget_gib, gpus)",
        "llamacpp",
        "1",
    )
    assert as_one([]).state == "stopped"
