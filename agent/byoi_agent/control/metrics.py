"""The node in Prometheus' words, written from frozen views when somebody asks; pure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Final, get_args

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)

from byoi_agent.availability.view import State as AvailabilityState
from byoi_agent.engine.view import EngineState
from byoi_agent.link.view import LinkState
from byoi_agent.node import advertise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from prometheus_client.core import Metric

    from byoi_agent.availability.view import Durations, ReclaimTimes
    from byoi_agent.engine.view import EngineView
    from byoi_agent.hardware.devices import DeviceReading
    from byoi_agent.node.view import NodeView
    from byoi_agent.usage.sampling import EnergyView
    from byoi_agent.usage.tally import TallyView, Times

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_DEVICE_LABELS: Final = ("device", "name")

_DEVICE_FIGURES: Final = {
    "byoi_device_memory_total_bytes": ("Memory of the device", "memory_total_bytes", 1.0),
    "byoi_device_memory_used_bytes": ("Memory in use", "memory_used_bytes", 1.0),
    "byoi_device_utilisation_ratio": ("Part of the time in use", "utilisation_percent", 0.01),
    "byoi_device_power_watts": ("Power drawn now", "power_watts", 1.0),
    "byoi_device_power_limit_watts": ("Power that it may draw", "power_limit_watts", 1.0),
    "byoi_device_temperature_celsius": ("Temperature", "temperature_celsius", 1.0),
    "byoi_device_memory_temperature_celsius": (
        "Temperature of its memory",
        "memory_temperature_celsius",
        1.0,
    ),
    "byoi_device_clock_hertz": ("Clock of its computing units", "sm_clock_mhz", 1e6),
    "byoi_device_uncorrected_ecc_errors": (
        "Errors of its memory since the last reset that were not corrected",
        "uncorrected_ecc_errors",
        1.0,
    ),
}
"""Gauge → what it says, the field of a device that it is made of, and by what it is multiplied."""


@dataclass(frozen=True)
class Reading:
    """All that the figures are made of, at one moment."""

    view: NodeView
    tally: TallyView
    energy: EnergyView
    refused: Mapping[str, int]
    unacknowledged_records: int
    uptime_seconds: float
    protocol: str


def exposition(reading: Reading) -> bytes:
    """The page that Prometheus reads."""
    registry = CollectorRegistry()
    registry.register(_Collector(reading))
    return generate_latest(registry)


def families(reading: Reading) -> Iterator[Metric]:
    """Every figure, in the order of the documentation."""
    yield from _node(reading)
    yield from _requests(reading)
    yield from _own(reading.view)
    yield from _energy(reading.energy)
    yield from _engines(reading.view)
    yield from _devices(reading.view.devices)


@dataclass(eq=False)
class _Collector:
    reading: Reading

    def collect(self) -> Iterable[Metric]:
        return families(self.reading)


def _node(reading: Reading) -> Iterator[Metric]:
    view = reading.view
    build = InfoMetricFamily("byoi_build", "The agent and the link's protocol")
    build.add_metric([], {"version": view.agent_version, "protocol": reading.protocol})
    yield build
    yield _gauge("byoi_uptime_seconds", "Time since the agent's start", reading.uptime_seconds)
    yield _gauge("byoi_serving", "1 while a request would be answered", view.is_serving)
    yield _gauge("byoi_draining", "1 while the node stops", view.is_draining)
    yield _one_of(
        "byoi_availability_state",
        "What the owner's wishes and the machine allow: serve, drain or yield",
        view.availability.state,
        AvailabilityState,
    )
    yield _gauge(
        "byoi_paused", "1 while the owner has paused the node", view.availability.is_paused
    )
    yield from _reclaims(view.availability.reclaims)
    yield _one_of("byoi_link_state", "The link to the console", view.link.state, LinkState)
    yield _counter("byoi_link_connects", "Links that the console welcomed", view.link.connects)
    yield _counter("byoi_link_resumes", "Links that went on with a session", view.link.resumes)
    warnings = GaugeMetricFamily(
        "byoi_health_warning", "1 for each warning of byoi status", labels=["code"]
    )
    for warning in view.warnings:
        warnings.add_metric([warning.name], 1)
    yield warnings
    yield _gauge(
        "byoi_outbox_records", "Usage records not yet booked", reading.unacknowledged_records
    )


def _requests(reading: Reading) -> Iterator[Metric]:
    view, tally = reading.view, reading.tally
    yield _gauge("byoi_requests_running", "Requests with the engine", view.load.running)
    yield _gauge("byoi_requests_waiting", "Requests that wait for a slot", view.load.waiting)
    yield _gauge("byoi_slots", "Requests that can run at once", advertise.slots_of(view))
    ended = CounterMetricFamily("byoi_requests", "Requests that ended", labels=["model", "outcome"])
    for (model, outcome), count in sorted(tally.requests.items()):
        ended.add_metric([model, outcome], count)
    yield ended
    yield _by("byoi_requests_refused", "Requests sent back", "reason", reading.refused)
    yield _by("byoi_prompt_tokens", "Tokens of prompts", "model", tally.prompt_tokens)
    yield _by("byoi_completion_tokens", "Tokens of answers", "model", tally.completion_tokens)
    yield _by("byoi_cached_tokens", "Tokens of prompts from a cache", "model", tally.cached_tokens)
    yield _histogram(
        "byoi_first_token_seconds", "From a request's arrival to its first token", tally.first_token
    )
    yield _histogram(
        "byoi_request_duration_seconds", "From a request's arrival to its end", tally.duration
    )


def _own(view: NodeView) -> Iterator[Metric]:
    """What the owner's programs asked for themselves: counted nowhere else."""
    own = view.own
    yield _gauge("byoi_own_requests_running", "Of the owner's", view.load.own_running)
    yield _counter("byoi_own_requests", "The owner's requests that ended", own.requests)
    yield _counter("byoi_own_prompt_tokens", "Tokens of the owner's prompts", own.prompt_tokens)
    told = "Tokens of the owner's answers"
    yield _counter("byoi_own_completion_tokens", told, own.completion_tokens)
    yield _counter("byoi_own_joules", "Energy of the owner's requests", own.joules)


def _energy(energy: EnergyView) -> Iterator[Metric]:
    """Nothing at all where nothing measures it."""
    if not any(energy.methods.values()):
        return
    yield _by("byoi_energy_joules", "Energy of requests, measured", "model", energy.by_model)
    yield _counter("byoi_idle_energy_joules", "Energy while nothing ran", energy.idle_joules)


def _engines(view: NodeView) -> Iterator[Metric]:
    """One engine without a label, as it was before there could be several; those by their model."""
    engines: dict[tuple[str, ...], EngineView] = {}
    if len(view.engines) > 1:
        engines = {(engine.key,): engine for engine in view.engines}
    elif view.engine is not None:
        engines = {(): view.engine}
    if not engines:
        return
    labels = ["model"] if len(view.engines) > 1 else []
    info = InfoMetricFamily("byoi_engine", "Which engine serves", labels=labels)
    states = GaugeMetricFamily("byoi_engine_state", "The engine's life", labels=[*labels, "state"])
    for key, engine in engines.items():
        info.add_metric(key, {"kind": engine.kind, "version": engine.version or ""})
        for state in get_args(EngineState):
            states.add_metric([*key, state], float(state == engine.state))
    yield info
    yield states
    for name, text, is_counted, value_of in _ENGINE_FIGURES:
        kind = CounterMetricFamily if is_counted else GaugeMetricFamily
        family = kind(name, text, labels=labels)
        for key, engine in engines.items():
            if (value := value_of(engine)) is not None:
                family.add_metric(key, value)
        if family.samples:
            yield family


def _load(field: str) -> Callable[[EngineView], float | None]:
    return lambda engine: None if engine.load is None else getattr(engine.load, field)


_ENGINE_FIGURES: Final[tuple[tuple[str, str, bool, Callable[[EngineView], float | None]], ...]] = (
    (
        "byoi_engine_restarts",
        "Starts of the engine after the first",
        True,
        lambda engine: engine.restarts,
    ),
    (
        "byoi_engine_requests_running",
        "Requests that the engine computes",
        False,
        _load("running"),
    ),
    (
        "byoi_engine_requests_waiting",
        "Requests that the engine keeps waiting",
        False,
        _load("waiting"),
    ),
    ("byoi_engine_kv_cache_used_ratio", "Part of its KV cache in use", False, _load("kv_used")),
    ("byoi_engine_prompt_tokens", "By the engine's own count", True, _load("prompt_tokens")),
    (
        "byoi_engine_completion_tokens",
        "By the engine's own count",
        True,
        _load("generated_tokens"),
    ),
)


def _devices(devices: tuple[DeviceReading, ...]) -> Iterator[Metric]:
    for name, (text, field, factor) in _DEVICE_FIGURES.items():
        family = GaugeMetricFamily(name, text, labels=_DEVICE_LABELS)
        for device in devices:
            if (value := getattr(device, field)) is not None:
                family.add_metric([str(device.index), device.name], value * factor)
        if family.samples:
            yield family
    slowed = GaugeMetricFamily(
        "byoi_device_slowed",
        "1 for each reason for which its clock is lower",
        labels=(*_DEVICE_LABELS, "reason"),
    )
    energy = CounterMetricFamily(
        "byoi_device_energy_joules", "Energy since the driver was loaded", labels=_DEVICE_LABELS
    )
    for device in devices:
        for reason in device.throttled_by or ():
            slowed.add_metric([str(device.index), device.name, reason], 1)
        if device.energy_joules is not None:
            energy.add_metric([str(device.index), device.name], device.energy_joules)
    yield from (family for family in (slowed, energy) if family.samples)


def _reclaims(reclaims: ReclaimTimes) -> Iterator[Metric]:
    yield _gauge("byoi_reclaims", "Reclaims by the owner that are kept", reclaims.count)
    seconds = GaugeMetricFamily(
        "byoi_reclaim_seconds",
        "From the owner's wish until the memory was seen to be back, over those kept",
        labels=["quantile"],
    )
    figures = {"0.5": reclaims.p50_seconds, "0.99": reclaims.p99_seconds}
    for quantile, value in {**figures, "last": reclaims.last_seconds}.items():
        if value is not None:
            seconds.add_metric([quantile], value)
    yield seconds
    yield _histogram(
        "byoi_reclaim_duration_seconds",
        "As byoi_reclaim_seconds, of this process: for rates and alerts",
        reclaims.since_start,
    )


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=float(value))


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value=value)


def _by(name: str, text: str, label: str, counts: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(name, text, labels=[label])
    for key, count in sorted(counts.items()):
        family.add_metric([key], count)
    return family


def _one_of(name: str, text: str, now: str, states: object) -> Metric:
    """One sample per state, 1 for the one that holds: a graph shows when each began and ended."""
    family = GaugeMetricFamily(name, text, labels=["state"])
    for state in get_args(states):
        family.add_metric([state], float(state == now))
    return family


def _histogram(name: str, text: str, times: Times | Durations) -> Metric:
    bounds = (*map(str, times.bounds), "+Inf")
    buckets = list(zip(bounds, map(float, accumulate(times.counts)), strict=True))
    return HistogramMetricFamily(name, text, buckets=buckets, sum_value=times.sum_seconds)
