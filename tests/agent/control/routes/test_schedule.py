from __future__ import annotations

import pytest

from byoi_agent.availability.calendar import CalendarState
from byoi_agent.availability.forecast import Verdict
from byoi_agent.availability.schedule import ScheduleView
from byoi_agent.config.availability import Feed, Schedule, Window
from byoi_agent.control.client import ControlClient
from byoi_agent.control.server import ControlServer
from byoi_agent.control.services import ControlServices
from byoi_agent.errors import ConfigError

NIGHT = Window(days=("mon",), since="22:00", until="06:00")
CARBON = Feed(source="https://grid.example/v1", at_most=250)


class Keeper:
    """Keeps what it is given; `refusal` is why it would not."""

    def __init__(self, file):
        self.file = file
        self.schedule = Schedule(windows=(NIGHT,), carbon=CARBON)
        self.refusal = None

    @property
    def view(self):
        verdict = Verdict("carbon", False, "the grid emits 420 g/kWh now", 420.0, 1800.0)
        state = CalendarState(is_open=True, holds_back=(verdict.reason,), changes_at=1800.0)
        return ScheduleView(self.schedule, state, (verdict,))

    def put(self, schedule):
        if self.refusal:
            raise ConfigError(self.refusal)
        self.schedule = schedule


@pytest.fixture
def keeper(tmp_path):
    return Keeper(tmp_path / "config.toml")


@pytest.fixture
async def client(node, keeper, tmp_path):
    services = ControlServices(
        status=node.status, offer=node.offer, usage=node.usage, schedule=keeper
    )
    async with ControlServer(services, tmp_path / "control.sock") as running:
        yield ControlClient(url=running.url, token=running.token)


async def test_the_schedule_is_told_with_what_it_says_now(client, keeper, ask):
    told = await ask(client.schedule)
    assert (told.windows, told.carbon, told.quiet) == ((NIGHT,), CARBON, ())
    assert (told.now.is_open, told.now.changes_at) == (True, 1800.0)
    assert told.now.holds_back == ("the grid emits 420 g/kWh now",)
    assert told.now.forecasts[0].value == 420.0
    assert told.now.file == str(keeper.file)


async def test_another_schedule_takes_its_place(client, keeper, ask):
    told = await ask(client.put_schedule, Schedule(quiet=(NIGHT,)))
    assert (told.quiet, told.windows, told.carbon) == ((NIGHT,), (), None)
    assert keeper.schedule == Schedule(quiet=(NIGHT,))


async def test_what_was_told_may_be_sent_back_as_it_is(client, keeper, ask):
    before = keeper.schedule
    await ask(client.put_schedule, await ask(client.schedule))
    assert keeper.schedule == before


async def test_a_node_that_cannot_write_it_says_why(client, keeper, ask):
    keeper.refusal = "config.toml cannot be written"
    with pytest.raises(ConfigError, match="cannot be written"):
        await ask(client.put_schedule, Schedule())
    assert keeper.schedule.windows == (NIGHT,)
