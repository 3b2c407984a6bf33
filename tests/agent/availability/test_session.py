from __future__ import annotations

import asyncio

from byoi_agent.availability.readings import SessionReading
from byoi_agent.availability.session import SessionWatch


class _Sensor:
    every_seconds = 3600.0

    def __init__(self, name, said, trouble=None):
        self.name = name
        self.said = said
        self.trouble = trouble
        self.is_closed = False

    def on_change(self, tell):
        self.tell = tell

    async def read(self):
        return self.said

    async def close(self):
        self.is_closed = True


async def _heard(watch, news, count):
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(watch.run())
        async with asyncio.timeout(60):
            while len(news) < count:
                await asyncio.sleep(0.005)
        running.cancel()


async def test_every_sensor_is_heard_and_closed():
    news = []
    good = _Sensor("x", (SessionReading("jo", 5.0),))
    bad = _Sensor("mutter", None, "no GNOME here")
    watch = SessionWatch([good, bad], "jo", session=news.append, now=lambda: 0.0)
    await _heard(watch, news, 1)
    assert news == [SessionReading("jo", 5.0)]
    assert watch.troubles == {"mutter": "no GNOME here"}
    assert watch.answering == ("x",)
    assert good.is_closed
    assert bad.is_closed


async def test_helpers_are_heard_too_and_their_silence(monkeypatch):
    monkeypatch.setattr("byoi_agent.availability.session._LOOK_SECONDS", 0.001)
    news, now = [], [0.0]
    watch = SessionWatch([], "byoi", session=news.append, gone=news.append, now=lambda: now[0])
    assert watch.report("ann", SessionReading("ann", 300.0))
    assert watch.report("jo", SessionReading("jo", 1.0))
    assert watch.answering == ("helper",)
    watch.end("jo")
    assert news == [SessionReading("ann", 300.0), SessionReading("jo", 1.0), "jo"]
    now[0] = 9.0
    await _heard(watch, news, 4)
    assert news[3] == SessionReading("ann")


async def test_people_are_left_alone_and_forgotten_where_nothing_hangs_on_them():
    news, gone = [], []
    sensor = _Sensor("x", (SessionReading("jo", 5.0),))
    watch = SessionWatch([sensor], "jo", session=news.append, gone=gone.append, now=lambda: 0.0)
    watch.report("ann", SessionReading("ann", 300.0))
    await _heard(watch, news, 2)
    watch.heed(is_wanted=False)
    assert gone == ["jo"]  # a helper reports by itself
    watch._heard("x", sensor.said)  # an answer that was under way
    assert len(news) == 2
    watch.heed(is_wanted=True)
    await _heard(watch, news, 3)
    assert news[-1] == SessionReading("jo", 5.0)
