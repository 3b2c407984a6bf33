from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
from sqlalchemy.exc import OperationalError

from byoi_console.pages.viewers import CHECK_SECONDS, VIEWERS_LIMIT, VIEWERS_OF_ONE, Viewers


class Turns:
    """A clock whose seconds the test gives one by one, each back once it is used up."""

    def __init__(self):
        self._asked = asyncio.Event()
        self._given = asyncio.Event()

    async def sleep(self, seconds):
        self._asked.set()
        await self._given.wait()
        self._given.clear()

    @property
    def is_asked(self):
        return self._asked.is_set()

    async def end_one(self):
        """Give a second without waiting for the next to be asked for."""
        await self._asked.wait()
        self._asked.clear()
        self._given.set()
        for _ in range(10):
            await asyncio.sleep(0)

    async def give(self):
        await self._asked.wait()
        self._asked.clear()
        self._given.set()
        await self._asked.wait()


class World:
    def __init__(self):
        self.pictures = {"org_1": 1, "org_2": 1}
        self.looks = []
        self.living = {"here"}
        self.turns = Turns()
        self.viewers = Viewers(self.look, self.who_lives, sleep=self.turns.sleep)

    async def look(self, org_id):
        self.looks.append(org_id)
        picture = self.pictures[org_id]
        if isinstance(picture, Exception):
            raise picture
        return picture

    async def who_lives(self, sign_in_ids):
        return self.living & set(sign_in_ids)


@pytest.fixture
async def world():
    @asynccontextmanager
    async def running():
        world = World()
        task = asyncio.get_running_loop().create_task(world.viewers.run())
        yield world
        task.cancel()
        await asyncio.wait({task})

    async with running() as world:
        yield world


async def test_the_first_picture_is_there_at_once(world):
    async with world.viewers.viewer("org_1", "here") as viewer:
        assert viewer.picture == 1
        assert not await viewer.news(0)


async def test_one_look_a_second_serves_everybody_of_an_organisation(world):
    async with (
        world.viewers.viewer("org_1", "here") as one,
        world.viewers.viewer("org_1", "here") as another,
    ):
        world.looks.clear()
        world.pictures["org_1"] = 2
        await world.turns.give()
        assert world.looks == ["org_1"]
        for viewer in (one, another):
            assert await viewer.news(1)
            assert viewer.picture == 2


async def test_what_looks_the_same_is_no_news(world):
    async with world.viewers.viewer("org_1", "here") as viewer:
        await world.turns.give()
        assert not await viewer.news(0)


async def test_an_organisation_sees_only_its_own(world):
    async with (
        world.viewers.viewer("org_1", "here") as mine,
        world.viewers.viewer("org_2", "here") as theirs,
    ):
        world.pictures["org_2"] = 2
        await world.turns.give()
        assert await theirs.news(1)
        assert not await mine.news(0)


async def test_nobody_is_asked_while_nobody_looks(world):
    async with world.viewers.viewer("org_1", "here"):
        await world.turns.give()
    world.looks.clear()
    await world.turns.end_one()
    assert world.looks == []
    assert not world.turns.is_asked


async def test_a_slow_viewer_misses_pictures_but_never_the_newest(world):
    async with world.viewers.viewer("org_1", "here") as viewer:
        for picture in (2, 3, 4):
            world.pictures["org_1"] = picture
            await world.turns.give()
        assert await viewer.news(1)
        assert viewer.picture == 4
        assert not await viewer.news(0)


async def test_who_signed_out_is_sent_away(world):
    async with (
        world.viewers.viewer("org_1", "here") as stays,
        world.viewers.viewer("org_1", "gone") as leaves,
    ):
        for _ in range(CHECK_SECONDS):
            await world.turns.give()
        assert leaves.is_over
        assert leaves.is_stranger
        assert await leaves.news(1)
        assert not stays.is_over


async def test_who_signed_in_while_it_was_looked_who_has_stays(world):
    """The answer is about those who were asked for, and a newcomer was not."""
    asked, answers = asyncio.Event(), asyncio.Event()
    who_lives = world.who_lives

    async def slowly(sign_in_ids):
        found = await who_lives(sign_in_ids)
        asked.set()
        await answers.wait()
        return found

    world.viewers._living = slowly
    async with world.viewers.viewer("org_1", "here"), asyncio.timeout(60):
        for _ in range(CHECK_SECONDS):
            await world.turns.end_one()
        await asked.wait()
        async with world.viewers.viewer("org_1", "new") as newcomer:
            answers.set()
            await world.turns.give()
            assert not newcomer.is_over


async def test_who_comes_while_it_is_looked_keeps_the_newer_picture(world):
    begun, goes_on = asyncio.Event(), asyncio.Event()
    look = world.look

    async def slowly(org_id):
        picture = await look(org_id)
        begun.set()
        await goes_on.wait()
        return picture

    async with world.viewers.viewer("org_1", "here"), asyncio.timeout(60):
        world.viewers._look = slowly
        await world.turns.end_one()
        await begun.wait()
        world.viewers._look = look
        world.pictures["org_1"] = 2
        async with world.viewers.viewer("org_1", "here") as newcomer:
            goes_on.set()
            await world.turns._asked.wait()
            assert newcomer.picture == 2


async def test_all_end_when_the_console_stops_and_nobody_comes_after(world):
    async with world.viewers.viewer("org_1", "here") as viewer:
        world.viewers.close()
        assert viewer.is_over
        assert not viewer.is_stranger
        assert await viewer.news(1)
    assert not world.viewers.has_room("here")
    async with world.viewers.viewer("org_1", "here") as late:
        assert late.is_over


async def test_a_database_that_fails_stops_no_viewer_and_is_told_once(world, caplog):
    async with world.viewers.viewer("org_1", "here") as viewer:
        world.pictures["org_1"] = OperationalError("select", {}, Exception("gone"))
        await world.turns.give()
        await world.turns.give()
        world.pictures["org_1"] = 2
        await world.turns.give()
        assert await viewer.news(1)
    assert [r.message for r in caplog.records].count("live pages stand still") == 1


async def test_a_browser_and_all_together_have_a_limit(world):
    @asynccontextmanager
    async def looking(count, sign_in_id):
        ends = [world.viewers.viewer("org_1", sign_in_id) for _ in range(count)]
        for end in ends:
            await end.__aenter__()
        yield
        for end in ends:
            await end.__aexit__(None, None, None)

    async with looking(VIEWERS_OF_ONE, "here"):
        assert not world.viewers.has_room("here")
        assert world.viewers.has_room("another")
    assert world.viewers.has_room("here")
    async with looking(VIEWERS_LIMIT, "many"):
        assert not world.viewers.has_room("another")
