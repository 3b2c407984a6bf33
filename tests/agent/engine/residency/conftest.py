"""A node whose engines do what a test says, and a world that does what is drawn."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import strategies as st

from byoi_agent.engine.residency import machine as m
from byoi_agent.engine.residency.memory import fits, plus
from byoi_agent.engine.residency.resident import Asleep, Leaving, Loaded, Loading, Model, State

LIMITS = m.Limits()
KEYS = ("a", "b", "c", "d")

models = st.builds(
    lambda key, card, size, host, **facts: Model(
        key,
        {card: size},
        asleep=None if host is None else {"host": host, card: min(size, host // 3)},
        **facts,
    ),
    st.sampled_from(KEYS),
    st.sampled_from(["memory", "memory", "second"]),
    st.integers(1, 14),
    st.none() | st.integers(1, 8),
    priority=st.sampled_from([10, 50, 90]),
    loads_at_start=st.booleans(),
    idle_unload_seconds=st.none() | st.sampled_from([5.0, 60.0]),
    edition=st.integers(0, 1),
)
configured = st.builds(
    lambda models, memory, second, host, others: m.Configured(
        tuple(models), {"memory": memory, "second": second, "host": host}, others
    ),
    st.lists(models, max_size=4, unique_by=lambda one: one.key),
    st.integers(4, 24),
    st.integers(4, 24),
    st.integers(0, 12),
    st.dictionaries(st.sampled_from(["memory", "second"]), st.integers(1, 24)),
)
keys = st.sampled_from(KEYS)
news = st.one_of(
    configured,
    st.tuples(st.just("ask"), keys),
    st.tuples(st.just("begin"), keys),
    st.tuples(st.just("end"), keys),
    st.tuples(st.just("leave"), keys),
    st.tuples(st.just("obey"), keys),
    st.builds(m.Broke, keys, st.just("x"), st.booleans()),
    st.builds(m.Held, keys, st.just(0.0)),
    st.builds(m.Released, keys, st.booleans()),
    st.sampled_from([0.5, 1.0, 5.0, 30.0, 700.0]),
)


class Node:
    """A residency whose engines do what a test says, and a clock."""

    def __init__(self, *models, memory=10, **budget):
        self.now, self.state = 1000.0, State()
        self.budget = {"memory": memory, **budget}
        self.configure(*models)

    def tell(self, event, *, at=None):
        self.now = self.now if at is None else at
        self.state, commands = m.step(self.state, event, self.now, LIMITS)
        self.wake_at = next((each.at for each in commands if isinstance(each, m.WakeAt)), None)
        self.orders = [each for each in commands if not isinstance(each, m.WakeAt)]
        return self.orders

    def configure(self, *models, **budget):
        self.budget = {**self.budget, **budget}
        self.models = models
        return self.tell(m.Configured(models, self.budget))

    def others_hold(self, **others):
        return self.tell(m.Configured(self.models, self.budget, others))

    def demand(self, key, running=0, waiting=0):
        return self.tell(m.Demanded(key, running, waiting))

    def load(self, key):
        """Have somebody ask, load it, answer, and rest."""
        assert m.Load(key) in self.demand(key, waiting=1)
        self.tell(m.Served(key))
        self.demand(key)

    def put_to_sleep(self, key):
        self.load(key)
        self.tell(m.Held(key, 0.0))
        self.tell(m.Gone(key, is_asleep=True))

    def after(self, seconds):
        return self.tell(m.Woke(), at=self.now + seconds)

    def place(self, key):
        return self.state.residents[key].place

    def one(self, key):
        return self.state.residents[key]


class World:
    """Engines and clients that do what is drawn, and what must hold whatever they do."""

    def __init__(self):
        self.now, self.state, self.wake_at = 0.0, State(), None
        self.demands = dict.fromkeys(KEYS, (0, 0))

    def tell(self, event):
        before, shrunk = self.state, isinstance(event, m.Configured)
        self.state, commands = m.step(before, event, self.now, LIMITS)
        timers = [each.at for each in commands if isinstance(each, m.WakeAt)]
        self.wake_at = timers[0] if timers else None
        assert len(timers) <= 1
        assert all(at > self.now for at in timers)
        for command in commands:
            if isinstance(command, m.Load):
                self._check_load(before, event, command.key)
            elif isinstance(command, m.Unload) and not isinstance(event, m.Held | m.Broke):
                assert not self.state.residents[command.key].running, "a request was cut"
        if not shrunk:
            now, then = self.taken(self.state), self.taken(before)
            assert all(now[name] <= max(then.get(name, 0), self.state.budget[name]) for name in now)
        self._check_that_nobody_is_forgotten()

    def taken(self, state):
        return plus(*(one.takes for one in state.residents.values()))

    def _check_load(self, before, event, key):
        """Never a second engine before the first is gone, never more than there is."""
        assert isinstance(self.state.residents[key].place, Loading)
        if not isinstance(event, m.Gone) and key in before.residents:
            assert not before.residents[key].takes or before.residents[key].is_wanted
        assert fits(self.taken(self.state), self.state.budget)

    def _check_that_nobody_is_forgotten(self):
        residents = self.state.residents.values()
        if any(
            isinstance(one.place, Leaving) or (not one.stays and one.takes) for one in residents
        ):
            return  # memory is on its way to somebody
        for one in residents:
            if one.is_wanted and one.waiting:
                woken = replace(one, place=Loading(0.0))
                beside = [other.takes for other in residents if other is not one]
                foreign = {} if isinstance(one.place, Asleep) else self.foreign(one.model.loaded)
                assert not fits(plus(woken.takes, foreign, *beside), self.state.budget)

    def foreign(self, amounts):
        """What other programs hold of these."""
        return {name: count for name, count in self.state.others.items() if name in amounts}

    def do(self, what):
        if isinstance(what, float):
            self.now += what
            self.tell(m.Woke())
        elif not isinstance(what, tuple):
            self.tell(what)
        elif what[1] in self.state.residents:
            getattr(self, what[0])(what[1])

    def _demand(self, key, running, waiting):
        self.demands[key] = (running, waiting)
        self.tell(m.Demanded(key, running, waiting))

    def ask(self, key):
        running, waiting = self.demands[key]
        self._demand(key, running, waiting + 1)

    def begin(self, key):
        running, waiting = self.demands[key]
        place = self.state.residents[key].place
        if waiting and isinstance(place, Loaded) and not place.closes:
            self._demand(key, running + 1, waiting - 1)

    def end(self, key):
        running, waiting = self.demands[key]
        if running:
            self._demand(key, running - 1, waiting)

    def leave(self, key):
        running, waiting = self.demands[key]
        if waiting:
            self._demand(key, running, waiting - 1)

    def obey(self, key):
        one = self.state.residents[key]
        if isinstance(one.place, Loading):
            self.tell(m.Served(key))
        elif isinstance(one.place, Leaving):
            self._demand(key, 0, self.demands[key][1])  # what ran there was cut or has ended
            self.tell(m.Gone(key, is_asleep=one.place.how == "sleep"))

    def serve_all(self):
        """All that runs ends, every order is obeyed, and time goes on to what was asked for."""
        for what in ("obey", "begin", "end"):
            for key in tuple(self.state.residents):
                self.do((what, key))
        if self.wake_at is not None:
            self.now = max(self.now, self.wake_at)
            self.tell(m.Woke())


@pytest.fixture
def make():
    """Make one of models and of memory."""
    return Node


@pytest.fixture(scope="session")
def world():
    """Make one, as it has become after what was drawn."""

    def make(data, longest):
        made = World()
        made.tell(data.draw(configured))
        for each in data.draw(st.lists(news, max_size=longest)):
            made.do(each)
        return made

    return make
