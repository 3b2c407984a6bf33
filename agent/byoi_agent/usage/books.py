"""The owner's books: what a record earns and costs now, and which models do not pay for themselves.

Prices and the tariff are the owner's and may change at any time; what has been booked stays.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol

from byoi_agent.clock import owners_clock
from byoi_agent.usage import tariff as tariffs
from byoi_agent.usage.energy_lines import EnergyKey, EnergyLine
from byoi_agent.usage.evidence import AT_START, Evidence, Measurement
from byoi_agent.usage.policy import LEAST_REQUESTS, REFUSAL, Experience, Judgement, judge
from byoi_agent.usage.prices import PriceList
from byoi_agent.usage.report import UsageReport, UsageTotals
from byoi_agent.usage.storage import StorageUnavailable
from byoi_agent.usage.today import Today
from byoi_agent.usage.units import MICRO
from byoi_agent.usage.value import Value, value_of
from byoi_wire.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from byoi_agent.clock import Clock
    from byoi_agent.config.tables import Tariff
    from byoi_agent.telemetry.health import Health
    from byoi_agent.usage.energy_lines import EnergyKind
    from byoi_wire.usage import UsageRecord

_REFUSES: Final = "stop-loss"
_BLIND: Final = "stop-loss-cannot-judge"
_BENCH_TOKENS: Final = 1000  # a benchmark tells joules for one; how many is all the same


class EnergyKeeper(Protocol):
    """Where energy that is on no record becomes durable; the outbox is one."""

    async def add_energy(self, lines: Sequence[EnergyLine]) -> None: ...  # noqa: D102
    async def evidence(self, limit: int) -> list[Measurement]: ...  # noqa: D102


class Books:
    """Sole owner of what holds now of prices and tariff, of the evidence, and of unwritten energy.

    `local` tells what the owner's clock shows at a Unix time.
    """

    def __init__(
        self, clock: Clock, health: Health, local: Callable[[float], datetime] | None = None
    ) -> None:
        self._clock = clock
        self._health = health
        self._local = local or owners_clock
        self._tariff: Tariff | None = None
        self._prices = PriceList()
        self._has_stop_loss = False
        self._evidence = Evidence()
        self._bench: Mapping[str, float] = {}
        self._unwritten: defaultdict[EnergyKey, list[int]] = defaultdict(lambda: [0, 0])
        self._today = Today()

    @property
    def other_watts(self) -> float:
        """What the rest of the machine takes while it serves, by the owner's word."""
        return 0.0 if self._tariff is None else self._tariff.other_watts

    def take(self, tariff: Tariff | None, prices: PriceList, *, has_stop_loss: bool) -> None:
        """From now on these hold."""
        self._tariff, self._prices, self._has_stop_loss = tariff, prices, has_stop_loss

    def know_bench(self, joules_per_token: Mapping[str, float]) -> None:
        """What benchmarks found of each model's answers: it counts until requests tell more."""
        self._bench = joules_per_token

    async def begin(self, keeper: EnergyKeeper, today: UsageReport) -> None:
        """Learn what earlier starts measured, and what today's figures were before this one.

        Raises:
            StorageUnavailable: the file cannot be read now; the evidence begins anew.
        """
        self._today.begin(self._day(), today)
        for measurement in await keeper.evidence(AT_START):
            self._evidence.add(measurement)

    def value(self, record: UsageRecord) -> Value:
        """What a record is worth, as it comes; it is evidence and part of today from then on."""
        value = value_of(record, self._prices.of(record.model), self._tariff, self._local)
        if record.joules is not None:
            self._evidence.add(Measurement(record.model, record.joules, record.usage))
        day = _day_of(record.started_at_ms / 1000)
        self._today.add_record(day, value, now=self._day())
        return value

    def book(
        self,
        kind: EnergyKind,
        model: str,
        joules: float,
        *,
        measured_by: str,
        since: float,
        until: float,
    ) -> None:
        """Energy that is on no record, between two Unix times."""
        cost = None
        if self._tariff is not None:
            cost = tariffs.cost(self._tariff, joules, since, until, self._local)
        currency, nano = cost or ("", 0)
        line = EnergyLine(
            EnergyKey(_day_of(until), model, kind, measured_by, currency),
            round(joules * MICRO),
            nano,
        )
        sums = self._unwritten[line.key]
        sums[0] += line.microjoules
        sums[1] += line.nano
        self._today.add_line(line, now=self._day())

    async def write(self, keeper: EnergyKeeper) -> None:
        """Have it made durable; where the disk refuses, it is kept for the next time."""
        if not self._unwritten:
            return
        lines = [EnergyLine(key, *sums) for key, sums in self._unwritten.items()]
        self._unwritten.clear()
        try:
            await keeper.add_energy(lines)
        except StorageUnavailable:  # its own warning tells
            for key, microjoules, nano in lines:
                self._unwritten[key][0] += microjoules
                self._unwritten[key][1] += nano

    def today(self) -> UsageReport | None:
        """Today's energy and money; None where nothing was measured, and nothing has a price."""
        rows, lines = self._today.view(self._day())
        if self._tariff is None and self._prices == PriceList() and not lines:
            return None
        return UsageReport(rows, UsageTotals(), lines)

    def judge(self, model: str) -> Judgement:
        """Whether requests of a model pay for their energy, at the tariff of this moment."""
        tariff = self._tariff
        currency = price = None
        if tariff is not None:
            price = tariffs.price_at(tariff, self._local(self._clock.wall()))
            currency = tariff.currency
        return judge(self._known_of(model), self._prices.of(model), currency, price or 0.0)

    def refusal(self, model: str) -> str | None:
        """Why a request for this model is sent back now; None where it is welcome."""
        if not self._has_stop_loss or self.judge(model).verdict != "refuse":
            return None
        return REFUSAL

    def tell(self, models: Iterable[str]) -> None:
        """Warn the owner of what stop-loss does, and of what it cannot judge."""
        judged = {model: self.judge(model) for model in models} if self._has_stop_loss else {}
        self._tell(
            _REFUSES,
            "its requests are sent back (stop_loss)",
            "they are taken again in hours that cost less; or change [prices] or stop_loss",
            [(model, found.words) for model, found in judged.items() if found.verdict == "refuse"],
        )
        self._tell(
            _BLIND,
            "stop_loss cannot judge it, and its requests are taken",
            "it is judged once energy has been measured, and [tariff] and [prices] are set",
            [
                (model, found.words)
                for model, found in judged.items()
                if found.verdict == "cannot_judge"
            ],
        )

    def _known_of(self, model: str) -> Experience:
        known, benched = self._evidence.of(model), self._bench.get(model)
        if benched is None or known.requests >= LEAST_REQUESTS:
            return known
        return Experience(
            LEAST_REQUESTS, benched * _BENCH_TOKENS, Usage(completion_tokens=_BENCH_TOKENS)
        )

    def _tell(self, name: str, what: str, mend: str, models: list[tuple[str, str]]) -> None:
        if not models:
            self._health.clear(name)
            return
        told = "; ".join(f"{model}: {words}" for model, words in models)
        self._health.warn(name, f"{told}: {what}", mend)

    def _day(self) -> str:
        return _day_of(self._clock.wall())


def _day_of(unix_seconds: float) -> str:
    return datetime.fromtimestamp(unix_seconds, UTC).date().isoformat()
