from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byoi_agent.availability.view import AvailabilityView
from byoi_agent.engine.view import EngineState, EngineView
from byoi_agent.node.advertise import (
    availability,
    build,
    engine_name,
    is_news,
    queue_of,
    slots_of,
    status,
    unoffered,
)
from byoi_agent.node.view import Load
from byoi_agent.usage.prices import PriceList
from byoi_wire.codec import encode_control
from byoi_wire.messages import Availability
from byoi_wire.offers import Measured, Prices
from byoi_wire.version import MESSAGE_LIMIT_BYTES, MODELS_LIMIT

GIB = 1024**3


def test_a_ready_engines_models_are_offered_as_they_are(ready_view):
    offer = build(ready_view)
    (model,) = offer.models
    assert (model.id, model.engine, model.context_tokens, model.created_at, model.features) == (
        "smol",
        "llamacpp",
        2048,
        7,
        ("json",),
    )
    assert offer.slots == 4


@pytest.mark.parametrize(
    "name", ["m{:06d}", "a-name-as-long-as-some-servers-like-them/" * 8 + "{}"]
)
def test_no_more_models_are_offered_than_a_console_takes_in_one_message(ready_view, name):
    many = tuple(replace(ready_view.engine.models[0], id=name.format(n)) for n in range(5000))
    view = replace(ready_view, engine=replace(ready_view.engine, models=many))
    offer = build(view)
    assert 0 < len(offer.models) <= MODELS_LIMIT
    assert [model.id for model in offer.models] == [m.id for m in many[: len(offer.models)]]
    assert len(encode_control(offer)) < MESSAGE_LIMIT_BYTES - 16 * 1024, "devices need room too"
    assert unoffered(view, offer) == 5000 - len(offer.models)


def test_a_model_at_a_loss_is_not_offered_and_that_is_news(ready_view):
    one = ready_view.engine.models[0]
    both = replace(ready_view.engine, models=(one, replace(one, id="dear")))
    view = replace(ready_view, engine=both)
    dear = replace(view, at_a_loss=frozenset({"dear"}))
    assert [model.id for model in build(dear).models] == [one.id]
    assert is_news(build(view), build(dear))
    assert unoffered(dear, build(dear)) == 0  # nothing that the console would not take
    assert build(replace(view, at_a_loss=frozenset({one.id, "dear"}))).models == ()


def test_where_all_are_offered_or_none_can_be_nothing_is_left_out(ready_view):
    assert unoffered(ready_view, build(ready_view)) == 0
    starting = replace(ready_view, engine=replace(ready_view.engine, state="starting"))
    assert unoffered(starting, build(starting)) == 0


@pytest.mark.parametrize("state", sorted(set(EngineState.__args__) - {"ready"}))
def test_without_a_ready_engine_nothing_is_offered(ready_view, state):
    engine = replace(ready_view.engine, state=state)
    offer = build(replace(ready_view, engine=engine))
    assert (offer.models, offer.slots, offer.queue) == ((), 0, 0)
    assert offer.devices  # the machine is told all the same


MEASURED = Measured(
    at_ms=1,
    engine="llamacpp 7",
    first_token_ms=9.0,
    decode_tokens_per_second=50.0,
    knee_concurrency=4,
    knee_tokens_per_second=100.0,
)


@pytest.mark.parametrize(("version", "told"), [("7", MEASURED), ("8", None), (None, None)])
def test_what_was_measured_is_offered_with_the_very_engine_that_it_was_measured_with(
    ready_view, version, told
):
    engine = replace(ready_view.engine, version=version)
    known = {("smol", "llamacpp 7"): MEASURED, ("other", "llamacpp 8"): MEASURED}
    (model,) = build(replace(ready_view, engine=engine, measured=known)).models
    assert model.measured == told


def test_an_engine_that_tells_no_version_is_known_by_its_kind():
    assert (engine_name("attached", None), engine_name("vllm", "1")) == ("attached", "vllm 1")


def test_a_measurement_is_news(ready_view):
    engine = replace(ready_view.engine, version="7")
    before = replace(ready_view, engine=engine)
    after = replace(before, measured={("smol", "llamacpp 7"): MEASURED})
    assert is_news(build(before), build(after))


def test_prices_are_offered_and_are_news(ready_view):
    asked = Prices(currency="EUR", input=0.1, output=0.2)
    priced = replace(ready_view, prices=PriceList(asked))
    (model,) = build(priced).models
    assert model.prices == asked
    assert is_news(build(ready_view), build(priced))


def test_before_anything_is_known_an_offer_can_be_made(ready_view):
    offer = build(replace(ready_view, engine=None, host=None, devices=()))
    assert (offer.models, offer.slots, offer.host.os) == ((), 0, "unknown")


@pytest.mark.parametrize(("engine", "owner", "slots"), [(4, None, 4), (4, 2, 2), (4, 9, 4)])
def test_the_owner_can_lower_the_slots_but_not_raise_them(ready_view, engine, owner, slots):
    view = replace(ready_view, engine=replace(ready_view.engine, slots=engine), slots=owner)
    assert slots_of(view) == slots


@pytest.mark.parametrize(("slots", "owner", "queue"), [(4, None, 32), (40, None, 160), (4, 0, 0)])
def test_a_bursts_worth_may_wait_unless_the_owner_says_otherwise(ready_view, slots, owner, queue):
    view = replace(ready_view, engine=replace(ready_view.engine, slots=slots), queue=owner)
    assert queue_of(view) == queue


def test_no_engine_means_no_slots_whatever_the_owner_allows(ready_view):
    assert slots_of(replace(ready_view, engine=None, slots=8)) == 0


def test_load_memory_and_temperature_go_with_the_status(ready_view):
    told = status(replace(ready_view, load=Load(3, 1)))
    assert (told.running, told.waiting) == (3, 1)
    assert told.memory_used_bytes == (GIB,)
    assert told.temperatures_celsius == (30.0,)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, False),
        ({"load": Load(9, 9)}, False),
        ({"offer_version": 5}, False),
        ({"slots": 1}, True),
        ({"queue": 7}, True),
        ({"agent_version": "0.2.0"}, True),
        ({"devices": ()}, True),
        ({"engine": EngineView("failed", "llamacpp")}, True),
        ({"host": None}, True),
    ],
)
def test_only_what_changes_the_offer_is_news(ready_view, change, expected):
    assert is_news(build(ready_view), build(replace(ready_view, **change))) is expected


def test_used_memory_of_a_device_alone_is_not_news(ready_view):
    (device,) = ready_view.devices
    now = replace(ready_view, devices=(replace(device, memory_used_bytes=77 * GIB),))
    assert not is_news(build(ready_view), build(now))


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("memory_available_bytes", 8 * GIB + 1, False),
        ("memory_available_bytes", 5 * GIB, True),
        ("memory_available_bytes", None, True),
        ("disk_free_bytes", 159 * GIB, False),
        ("disk_free_bytes", 100 * GIB, True),
        ("memory_total_bytes", None, True),
        ("cpu_cores", 3, True),
    ],
)
def test_free_memory_and_disk_are_news_only_when_they_move_far(ready_view, field, value, expected):
    host = ready_view.host.model_copy(update={field: value})
    assert is_news(build(ready_view), build(replace(ready_view, host=host))) is expected


@given(free=st.lists(st.integers(0, 16 * GIB), min_size=2, max_size=30))
def test_what_the_console_last_heard_is_never_far_from_the_truth(free):
    from byoi_agent.node.view import NodeView
    from byoi_wire.ids import NodeId
    from byoi_wire.offers import Host

    def view(available):
        host = Host(
            os="x",
            architecture="y",
            memory_total_bytes=16 * GIB,
            memory_available_bytes=available,
        )
        return NodeView(node_id=NodeId("n"), agent_version="1", host=host)

    told = build(view(free[0]))
    for available in free:
        now = build(view(available))
        if is_news(told, now):
            told = now
        assert abs(told.host.memory_available_bytes - available) <= GIB


def test_an_advertisement_names_nothing_beyond_what_is_documented(ready_view):
    offer = build(ready_view)
    assert set(offer.model_dump()) == {
        "type",
        "version",
        "agent_version",
        "host",
        "devices",
        "models",
        "slots",
        "queue",
    }
    assert set(offer.host.model_dump()) == {
        "os",
        "architecture",
        "cpu_name",
        "cpu_cores",
        "memory_total_bytes",
        "memory_available_bytes",
        "disk_free_bytes",
        "in_container",
    }


def test_a_model_that_is_not_loaded_is_offered_as_that_and_keeps_the_node_open(ready_view):
    (model,) = ready_view.engine.models
    base = replace(model, is_loaded=False, load_seconds=12.5, slots=6)
    over_it = replace(base, id="pirate", base=model.id)
    engine = replace(ready_view.engine, models=(base, over_it), slots=0)
    offer = build(replace(ready_view, engine=engine))
    assert [(m.is_loaded, m.load_seconds, m.slots, m.base) for m in offer.models] == [
        (False, 12.5, 6, None),
        (False, 12.5, 6, "smol"),
    ]
    assert (offer.slots, offer.queue) == (6, 32)
    limited = build(replace(ready_view, engine=engine, slots=2))
    assert [model.slots for model in limited.models] == [2, 2]
    unknown = replace(engine, models=(replace(base, slots=None),))
    assert build(replace(ready_view, engine=unknown, slots=2)).models[0].slots is None
    assert build(replace(ready_view, engine=unknown)).slots == 0


def test_each_model_is_offered_by_its_own_engine_where_there_are_several(ready_view):
    (model,) = ready_view.engine.models
    large = replace(model, id="large")
    engines = (
        replace(ready_view.engine, version="7"),
        replace(ready_view.engine, kind="vllm", version="1", models=(large,)),
    )
    whole = replace(ready_view.engine, kind="several", version=None, models=(model, large))
    known = {("large", "vllm 1"): MEASURED, ("smol", "vllm 1"): MEASURED}
    view = replace(ready_view, engine=whole, engines=engines, measured=known)
    assert [(each.engine, each.measured) for each in build(view).models] == [
        ("llamacpp", None),
        ("vllm", MEASURED),
    ]


HALF_PAST = 1_800_000_000.0


def test_a_node_that_serves_says_so_with_its_mode(ready_view):
    assert availability(ready_view) == Availability(serving=True, mode="dedicated")


def test_a_pause_and_its_end_are_told(ready_view):
    view = AvailabilityView(
        "idle",
        state="yield",
        code="paused",
        reason="paused by jo until 18:30",
        is_paused=True,
        until=HALF_PAST,
    )
    assert availability(replace(ready_view, availability=view)) == Availability(
        serving=False,
        reason="paused by its owner",
        code="paused",
        mode="idle",
        is_paused=True,
        until_ms=1_800_000_000_000,
    )


@pytest.mark.parametrize("code", ["active", "foreign_gpu", "a rule of later days"])
def test_what_the_owner_does_and_since_when_stays_on_the_machine(ready_view, code):
    view = AvailabilityView(
        "idle", state="yield", code=code, reason="jo plays cyberpunk.exe", until=HALF_PAST
    )
    told = availability(replace(ready_view, availability=view))
    assert not told.serving
    assert told.until_ms is None
    assert code not in told.model_dump_json()
    assert "jo" not in told.model_dump_json()
    assert "cyberpunk" not in told.model_dump_json()


@pytest.mark.parametrize("until", [None, HALF_PAST])
def test_the_end_of_quiet_hours_is_told_where_it_is_known(ready_view, until):
    view = AvailabilityView(state="drain", code="quiet", reason="quiet hours", until=until)
    told = availability(replace(ready_view, availability=view))
    assert told.until_ms == (None if until is None else 1_800_000_000_000)


@pytest.mark.parametrize(
    ("held", "own_seats", "slots"), [(0, 0, 4), (1, 0, 3), (9, 0, 1), (1, 1, 4), (3, 1, 2)]
)
def test_what_the_owner_uses_himself_is_not_offered_but_for_one_to_wait_for(
    ready_view, held, own_seats, slots
):
    own = replace(ready_view.engine, key="engine", slots=4, own_seats=own_seats)
    view = replace(ready_view, engine=own, engines=(own,), held={"engine": held})
    assert build(view).slots == slots
    assert slots_of(view) == 4


def test_the_owners_own_requests_are_nobody_elses_to_know(ready_view):
    load = Load(running=3, waiting=2, own_running=2, own_waiting=1)
    told = status(replace(ready_view, load=load))
    assert (told.running, told.waiting) == (1, 1)
