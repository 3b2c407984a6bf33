from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest

from byoi_agent.errors import ConfigError
from byoi_agent.models.names import reference_of
from byoi_agent.models.pulls import AT_ONCE, MOST_WAITING, Pulls
from byoi_agent.models.wheels import Progress


class Hand:
    """A clock that is set by hand."""

    at = 10.0

    def monotonic(self):
        return self.at

    def wall(self):
        return 1_000_000 + self.at


class Hub:
    """Fetches as it is told to: each pull waits for the test."""

    def __init__(self):
        self.begun = []
        self.reports = {}
        self.answers = {}

    async def fetch(self, reference, file, is_pinned, report):
        name = str(reference)
        self.begun.append((name, file, is_pinned))
        self.reports[name] = report
        self.answers[name] = asyncio.get_running_loop().create_future()
        return await self.answers[name]

    def end(self, name, *, error=None, removed=()):
        if error is not None:
            self.answers[name].set_exception(error)
        else:
            manifest = SimpleNamespace(commit="c" * 40)
            pulled = SimpleNamespace(name=f"{name}:Q8_0", manifest=manifest)
            self.answers[name].set_result(SimpleNamespace(pulled=pulled, removed=removed))


@pytest.fixture
def hub():
    return Hub()


@pytest.fixture
def told():
    return []


@pytest.fixture
def clock():
    return Hand()


@pytest.fixture
def pulls(hub, told, clock):
    return Pulls(hub.fetch, told.append, clock)


@asynccontextmanager
async def running(pulls):
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(pulls.run())
        await settle()
        yield
        task.cancel()


async def settle():
    for _ in range(10):
        await asyncio.sleep(0)


def begin(pulls, name, file=None):
    return pulls.begin(reference_of(name), file=file, is_pinned=False)


def states(pulls):
    return {view.model: view.state for view in pulls.views}


async def test_a_pull_goes_its_way_and_tells_of_it(pulls, hub, told, clock):
    async with running(pulls):
        view = begin(pulls, "owner/one", "one.gguf")
        await settle()
        assert hub.begun == [("owner/one", "one.gguf", False)]
        hub.reports["owner/one"](Progress("downloading", 0, 100))
        clock.at += 1
        hub.reports["owner/one"](Progress("downloading", 1, 100))
        assert pulls.views[0].bytes_per_second is None
        clock.at += 1
        hub.reports["owner/one"](Progress("downloading", 50, 100))
        assert pulls.views[0].bytes_per_second == 25.0
        hub.end("owner/one", removed=("old",))
        await settle()
    assert [one.state for one in told][:2] == ["waiting", "pulling"]
    last = pulls.views[0]
    assert (last.id, last.state, last.came, last.removed, last.ended_at) == (
        view.id,
        "done",
        f"owner/one:Q8_0@{'c' * 40}",
        ("old",),
        1_000_012.0,
    )


async def test_two_come_at_once_and_the_others_wait(pulls, hub):
    async with running(pulls):
        for name in ("o/a", "o/b", "o/c"):
            begin(pulls, name)
        await settle()
        assert len(hub.begun) == AT_ONCE
        assert states(pulls)["o/c"] == "waiting"
        hub.end("o/a")
        await settle()
        assert states(pulls) == {"o/a": "done", "o/b": "pulling", "o/c": "pulling"}


async def test_a_pull_that_is_under_way_is_not_begun_twice(pulls, hub):
    async with running(pulls):
        assert begin(pulls, "o/a").id == begin(pulls, "o/a").id
        await settle()
        assert len(hub.begun) == 1
        hub.end("o/a")
        await settle()
        begin(pulls, "o/a")
        await settle()
        assert len(hub.begun) == 2


async def test_another_file_of_the_same_model_is_another_pull(pulls, hub):
    async with running(pulls):
        first, second = begin(pulls, "o/a", "small.gguf"), begin(pulls, "o/a", "large.gguf")
        assert first.id != second.id
        assert begin(pulls, "o/a", "large.gguf").id == second.id
        await settle()
        assert [file for _, file, _ in hub.begun] == ["small.gguf", "large.gguf"]


async def test_why_one_failed_is_told_and_the_others_go_on(pulls, hub):
    async with running(pulls):
        begin(pulls, "o/a")
        begin(pulls, "o/b")
        await settle()
        hub.end("o/a", error=ConfigError("there is no o/a at the hub"))
        await settle()
        assert states(pulls) == {"o/a": "failed", "o/b": "pulling"}
        assert pulls.views[0].error == "there is no o/a at the hub"


async def test_a_fault_of_ours_ends_one_pull_and_not_the_node(pulls, hub, caplog):
    async with running(pulls):
        begin(pulls, "o/a")
        await settle()
        hub.end("o/a", error=ZeroDivisionError())
        await settle()
        assert states(pulls) == {"o/a": "failed"}
        assert "log" in pulls.views[0].error
    assert "Traceback" in caplog.text


async def test_one_is_cancelled_also_while_it_waits(pulls, hub):
    async with running(pulls):
        views = [begin(pulls, name) for name in ("o/a", "o/b", "o/c")]
        await settle()
        assert pulls.cancel(views[2].id).state == "cancelled"
        assert pulls.cancel(views[0].id).state == "cancelled"
        await settle()
        assert hub.answers["o/a"].cancelled()
        assert [name for name, *_ in hub.begun] == ["o/a", "o/b"]
        assert pulls.cancel(views[0].id).state == "cancelled"
        with pytest.raises(ConfigError, match="there is no pull none"):
            pulls.cancel("none")


async def test_a_node_that_ends_leaves_no_pull(pulls, hub):
    async with running(pulls):
        begin(pulls, "o/a")
        await settle()
    assert hub.answers["o/a"].cancelled()
    assert states(pulls) == {"o/a": "cancelled"}
    with pytest.raises(ConfigError, match="starts or ends"):
        begin(pulls, "o/b")


async def test_no_more_wait_than_there_is_room_for(pulls):
    async with running(pulls):
        for number in range(MOST_WAITING + AT_ONCE):
            begin(pulls, f"o/m{number}")
        with pytest.raises(ConfigError, match="too many pulls"):
            begin(pulls, "o/more")


async def test_of_those_that_ended_only_the_last_are_kept(pulls, hub):
    async with running(pulls):
        for number in range(25):
            begin(pulls, f"o/m{number}")
            await settle()
            hub.end(f"o/m{number}")
            await settle()
    kept = [view.model for view in pulls.views]
    assert len(kept) == 20
    assert kept[-1] == "o/m24"
