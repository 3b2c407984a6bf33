"""What Prometheus may know of a console: counts of what is over, and the owners' facts of now.

Counting happens once per request or attempt, at its end. Everything else is asked of its owner when
somebody scrapes. Names of models are the only label that grows; beyond `MODELS_LIMIT` of them the
rest is counted as "other".
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.exposition import choose_encoder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from prometheus_client import Metric

MODELS_LIMIT: Final = 200
OTHER: Final = "other"
NONE: Final = "none"

FIRST_TOKEN_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
REQUEST_SECONDS: Final = (0.05, 0.25, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 3600.0)


class Histogram:
    """Sole owner of one series' counts; `bounds` are the buckets' upper ends."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count a value into its bucket."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def buckets(self) -> tuple[list[tuple[str, float]], float]:
        """Each bucket's upper end with all values up to it, as Prometheus has them, and the sum."""
        total, found = 0, []
        for bound, count in zip((*self._bounds, None), self._counts, strict=True):
            total += count
            found.append(("+Inf" if bound is None else f"{bound:g}", float(total)))
        return found, self._sum


class Tally:
    """Sole owner of the counts since the start of this process."""

    def __init__(self) -> None:
        self._models: set[str] = set()
        self._requests: Counter[tuple[str, ...]] = Counter()
        self._attempts: Counter[tuple[str, ...]] = Counter()
        self._retries: Counter[tuple[str, ...]] = Counter()
        self._tokens: Counter[tuple[str, ...]] = Counter()
        self._durations: dict[tuple[str, ...], Histogram] = {}
        self._first_tokens: dict[tuple[str, ...], Histogram] = {}

    def request_ended(
        self, *, route: str, model: str, status: int, outcome: str, seconds: float
    ) -> None:
        """A client's request is over; empty names are those that callers made up."""
        known = self._label(model)
        self._requests[route or OTHER, known, outcome, str(status)] += 1
        _series(self._durations, known, REQUEST_SECONDS).observe(seconds)

    def attempt_ended(
        self,
        *,
        number: int,
        model: str,
        outcome: str,
        tokens: Mapping[str, int],
        first_token_seconds: float | None,
    ) -> None:
        """A node's try at a request is over; all but the first (`number` 1) are retries."""
        known = self._label(model)
        self._attempts[known, outcome] += 1
        if number > 1:
            self._retries[(known,)] += 1
        for kind, count in tokens.items():
            self._tokens[known, kind] += count
        if first_token_seconds is not None:
            series = _series(self._first_tokens, known, FIRST_TOKEN_SECONDS)
            series.observe(first_token_seconds)

    def collect(self) -> Iterator[Metric]:
        """All of it as Prometheus's families."""
        yield _counter(
            "requests",
            "Requests to /v1 that are over.",
            ("route", "model", "outcome", "status"),
            self._requests,
        )
        yield _counter(
            "attempts", "Tries at nodes that are over.", ("model", "outcome"), self._attempts
        )
        yield _counter(
            "retries", "Tries after a node had failed a request.", ("model",), self._retries
        )
        yield _counter("tokens", "Tokens as the console saw them.", ("model", "kind"), self._tokens)
        yield _histogram(
            "request_duration_seconds", "From request to the answer's end.", self._durations
        )
        yield _histogram(
            "first_token_seconds", "From a try's start to its first token.", self._first_tokens
        )

    def _label(self, model: str) -> str:
        if not model:
            return NONE
        if model not in self._models:
            if len(self._models) >= MODELS_LIMIT:
                return OTHER
            self._models.add(model)
        return model


@dataclass(frozen=True)
class Facts:
    """What the rooms say of themselves at this moment; counts are since the start."""

    version: str
    is_ready: bool
    requests_open: int
    streams_open: int
    links: int
    nodes: Mapping[str, int]
    postings_pending: int
    ledger_waiting: int
    ledger_is_healthy: bool
    postings: int
    claims: int
    claims_refused: int
    differences: int
    wrong_credentials: Mapping[str, int] = field(default_factory=dict)

    def collect(self) -> Iterator[Metric]:
        """All of it as Prometheus's families."""
        yield _labelled(
            GaugeMetricFamily, "build_info", "The version that runs.", "version", {self.version: 1}
        )
        for name, told, value in (
            ("ready", "1 while requests can be served and booked.", self.is_ready),
            ("requests_open", "Requests being answered, pages included.", self.requests_open),
            ("streams_open", "Requests in the hands of nodes.", self.streams_open),
            ("links", "Websockets of nodes that are up.", self.links),
            ("postings_pending", "Ended answers that are not booked yet.", self.postings_pending),
            ("ledger_queue_entries", "Entries on their way to the disk.", self.ledger_waiting),
            ("ledger_healthy", "1 while the ledger can be written.", self.ledger_is_healthy),
        ):
            yield GaugeMetricFamily(f"byoi_console_{name}", told, float(value))
        yield _labelled(GaugeMetricFamily, "nodes", "Enrolled nodes.", "state", self.nodes)
        for name, told, value in (
            ("postings", "Attempts booked with the console's own count.", self.postings),
            ("claims", "Attempts whose node's signed record has come.", self.claims),
            ("claims_refused", "Records whose ticket did not fit.", self.claims_refused),
            ("differences", "Attempts whose two counts do not agree.", self.differences),
        ):
            yield CounterMetricFamily(f"byoi_console_{name}", told, float(value))
        yield _labelled(
            CounterMetricFamily,
            "wrong_credentials",
            "Keys, passwords and join tokens that were wrong.",
            "kind",
            self.wrong_credentials,
        )


def exposition(tally: Tally, facts: Facts, accept: str | None) -> tuple[bytes, str]:
    """A scrape's answer in the form that its Accept header asks for, and its content type."""
    registry = CollectorRegistry(auto_describe=False)
    for source in (tally, facts):
        registry.register(_Collector(source.collect()))
    ProcessCollector(registry=registry)
    encode, content_type = choose_encoder(accept or "")
    return encode(registry), content_type


class _Collector:
    """One scrape's families, for a registry that lives as long as the scrape."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        return self._families


def _series(
    known: dict[tuple[str, ...], Histogram], model: str, bounds: tuple[float, ...]
) -> Histogram:
    found = known.get((model,))
    if found is None:
        found = known[model,] = Histogram(bounds)
    return found


def _counter(
    name: str, told: str, labels: tuple[str, ...], counts: Mapping[tuple[str, ...], int]
) -> Metric:
    family = CounterMetricFamily(f"byoi_console_{name}", told, labels=labels)
    for values, count in sorted(counts.items()):
        family.add_metric(values, count)
    return family


def _histogram(name: str, told: str, series: Mapping[tuple[str, ...], Histogram]) -> Metric:
    family = HistogramMetricFamily(f"byoi_console_{name}", told, labels=("model",))
    for values, histogram in sorted(series.items()):
        buckets, total = histogram.buckets()
        family.add_metric(values, buckets=buckets, sum_value=total)
    return family


def _labelled(
    kind: type[GaugeMetricFamily | CounterMetricFamily],
    name: str,
    told: str,
    label: str,
    values: Mapping[str, int],
) -> Metric:
    family = kind(f"byoi_console_{name}", told, labels=(label,))
    for value, count in sorted(values.items()):
        family.add_metric((value,), count)
    return family
