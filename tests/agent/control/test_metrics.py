from __future__ import annotations

from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from byoi_agent.availability.view import AvailabilityView, Durations, ReclaimTimes
from byoi_agent.control.metrics import Reading, exposition
from byoi_agent.engine.view import EngineLoad, EngineView, ServedModel
from byoi_agent.hardware.devices import DeviceReading
from byoi_agent.link.view import LinkView
from byoi_agent.node.view import Load, NodeView
from byoi_agent.telemetry.health import HealthWarning
from byoi_agent.usage.report import UsageTotals
from byoi_agent.usage.sampling import EnergyView
from byoi_agent.usage.tally import Ended, TallyView, Times

ENGINE = EngineView(
    "ready",
    "vllm",
    models=(ServedModel("smol", "smol", ()),),
    slots=4,
    version="0.1",
    restarts=2,
    load=EngineLoad(running=1, waiting=0, kv_used=0.25, prompt_tokens=5, generated_tokens=6),
)
READING = Reading(
    view=NodeView(
        "n1",
        "0.1.0",
        engine=ENGINE,
        load=Load(1, 2),
        link=LinkView("online", connects=3, resumes=1),
        devices=(
            DeviceReading(
                0,
                "nvidia",
                'H"200',
                memory_used_bytes=5,
                utilisation_percent=50,
                energy_joules=7.0,
                power_limit_watts=700.0,
                memory_temperature_celsius=55,
                sm_clock_mhz=1980,
                uncorrected_ecc_errors=0,
                throttled_by=("power limit",),
            ),
        ),
        warnings=(HealthWarning("key-in-file", "text", "mend"),),
    ),
    tally=TallyView(
        requests={Ended("smol", "complete"): 3},
        prompt_tokens={"smol": 30},
        completion_tokens={"smol": 60},
        cached_tokens={"smol": 1},
        first_token=Times((0.5, 1.0), (1, 1, 1), 9.5),
        duration=Times((1.0,), (0, 3), 12.0),
        tokens_per_second=1.0,
        today=UsageTotals(),
    ),
    energy=EnergyView({"smol": 12.5}, 3.5, {0: "counter"}),
    refused={"draining": 2},
    unacknowledged_records=4,
    uptime_seconds=1.5,
    protocol="byoi/1",
)


def samples(reading):
    """Every sample by name and labels, as Prometheus' own parser reads the page."""
    found = {}
    for family in text_string_to_metric_families(exposition(reading).decode()):
        assert family.documentation, family.name
        for sample in family.samples:
            key = (sample.name, *sorted(sample.labels.items()))
            assert key not in found, key
            found[key] = sample.value
    return found


def test_where_nothing_measures_energy_there_is_none():
    told = samples(replace(READING, energy=EnergyView({}, 0.0, {0: None})))
    assert not [key for key in told if "energy" in key[0] and "device" not in key[0]]


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("byoi_energy_joules_total", {"model": "smol"}, 12.5),
        ("byoi_idle_energy_joules_total", {}, 3.5),
        ("byoi_build_info", {"version": "0.1.0", "protocol": "byoi/1"}, 1),
        ("byoi_serving", {}, 1),
        ("byoi_link_state", {"state": "online"}, 1),
        ("byoi_link_state", {"state": "waiting"}, 0),
        ("byoi_link_connects_total", {}, 3),
        ("byoi_health_warning", {"code": "key-in-file"}, 1),
        ("byoi_outbox_records", {}, 4),
        ("byoi_requests_running", {}, 1),
        ("byoi_requests_total", {"model": "smol", "outcome": "complete"}, 3),
        ("byoi_requests_refused_total", {"reason": "draining"}, 2),
        ("byoi_completion_tokens_total", {"model": "smol"}, 60),
        ("byoi_first_token_seconds_bucket", {"le": "0.5"}, 1),
        ("byoi_first_token_seconds_bucket", {"le": "+Inf"}, 3),
        ("byoi_first_token_seconds_sum", {}, 9.5),
        ("byoi_request_duration_seconds_count", {}, 3),
        ("byoi_engine_info", {"kind": "vllm", "version": "0.1"}, 1),
        ("byoi_engine_state", {"state": "ready"}, 1),
        ("byoi_engine_restarts_total", {}, 2),
        ("byoi_engine_kv_cache_used_ratio", {}, 0.25),
        ("byoi_engine_completion_tokens_total", {}, 6),
        ("byoi_device_memory_used_bytes", {"device": "0", "name": 'H"200'}, 5),
        ("byoi_device_utilisation_ratio", {"device": "0", "name": 'H"200'}, 0.5),
        ("byoi_device_power_limit_watts", {"device": "0", "name": 'H"200'}, 700),
        ("byoi_device_memory_temperature_celsius", {"device": "0", "name": 'H"200'}, 55),
        ("byoi_device_clock_hertz", {"device": "0", "name": 'H"200'}, 1.98e9),
        ("byoi_device_uncorrected_ecc_errors", {"device": "0", "name": 'H"200'}, 0),
        ("byoi_device_slowed", {"device": "0", "name": 'H"200', "reason": "power limit"}, 1),
        ("byoi_device_energy_joules_total", {"device": "0", "name": 'H"200'}, 7),
    ],
)
def test_a_figure_is_where_its_name_says(name, labels, value):
    assert samples(READING)[name, *sorted(labels.items())] == pytest.approx(value)


def test_what_is_not_known_is_not_zero_but_absent():
    names = {key[0] for key in samples(READING)}
    assert "byoi_device_power_watts" not in names
    bare = replace(READING, view=replace(READING.view, engine=None, devices=()))
    assert not [key for key in samples(bare) if key[0].startswith(("byoi_engine", "byoi_device"))]
    quiet = replace(READING.view, engine=replace(ENGINE, load=None, version=None))
    names = {key[0] for key in samples(replace(READING, view=quiet))}
    assert "byoi_engine_requests_running" not in names


def test_names_have_units_and_our_prefix():
    for name, *_ in samples(READING):
        assert name.startswith("byoi_")
        assert "percent" not in name
        assert not name.endswith("_ms")


def test_of_several_engines_each_has_its_own_figures():
    engines = (
        replace(ENGINE, key="small"),
        replace(ENGINE, key="large", state="stopped", load=None),
    )
    seen = samples(replace(READING, view=replace(READING.view, engines=engines)))
    assert seen["byoi_engine_state", ("model", "large"), ("state", "stopped")] == 1
    assert seen["byoi_engine_state", ("model", "small"), ("state", "ready")] == 1
    assert seen["byoi_engine_requests_running", ("model", "small")] == 1
    assert ("byoi_engine_requests_running", ("model", "large")) not in seen


def test_how_long_the_owner_waited_for_his_machine():
    assert not any(key[0] == "byoi_reclaim_seconds" for key in samples(READING))
    times = ReclaimTimes(3, 0.5, 1.25, 0.75, "active")
    view = replace(READING.view, availability=AvailabilityView(reclaims=times))
    told = samples(replace(READING, view=view))
    assert told["byoi_reclaims",] == 3
    found = {key[1][1]: told[key] for key in told if key[0] == "byoi_reclaim_seconds"}
    assert found == {"0.5": 0.5, "0.99": 1.25, "last": 0.75}


def test_how_long_reclaims_took_is_a_histogram_that_only_grows():
    durations = Durations().with_one(0.7).with_one(2.0).with_one(31.0)
    times = ReclaimTimes(3, since_start=durations)
    view = replace(READING.view, availability=AvailabilityView(reclaims=times))
    told = samples(replace(READING, view=view))
    name = "byoi_reclaim_duration_seconds"
    bounds = ("0.5", "0.75", "1.5", "2.0", "30.0", "+Inf")
    assert [told[f"{name}_bucket", ("le", each)] for each in bounds] == [0, 1, 1, 2, 2, 3]
    assert told[f"{name}_count",] == 3
    assert told[f"{name}_sum",] == pytest.approx(33.7)
