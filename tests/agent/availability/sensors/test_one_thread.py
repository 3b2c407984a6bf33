from __future__ import annotations

import asyncio
import threading

import pytest

from byoi_agent.availability.sensors.one_thread import OneThread, Silent


async def test_answers_and_errors_come_back():
    answers = [1, OSError("gone"), 3]

    def call():
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    thread = OneThread("test", call, 60.0)
    assert await thread.ask() == 1
    with pytest.raises(OSError, match="gone"):
        await thread.ask()
    assert await thread.ask() == 3
    thread.close()


async def test_a_call_that_hangs_costs_one_thread_however_often_it_is_asked(wait_until):
    release, calls, ended = threading.Event(), [], threading.Event()

    def call():
        calls.append(threading.current_thread())
        release.wait(60)
        return len(calls)

    thread = OneThread("test", call, 0.02, ended.set)
    for _ in range(3):
        with pytest.raises(Silent):
            await thread.ask()

    async def begun():
        return calls

    assert len(await wait_until(begun)) == 1
    thread._seconds = 60.0  # from now on it answers, sooner or later
    release.set()

    async def answered():
        try:
            return await thread.ask()
        except Silent:
            return None

    assert await wait_until(answered) == 2
    assert len(set(calls)) == 1
    thread.close()
    assert ended.wait(60)


async def test_who_asks_during_a_call_waits_for_that_one():
    may_answer, calls = threading.Event(), []

    def call():
        calls.append(1)
        may_answer.wait(60)
        return len(calls)

    thread = OneThread("test", call, 60.0)
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(thread.ask()) for _ in range(2)]
        await asyncio.wait(asked, timeout=0)
        may_answer.set()
    assert [one.result() for one in asked] == [1, 1]
    thread.close()


async def test_one_never_asked_has_no_thread_to_end():
    thread = OneThread("test", lambda: 1, 1.0)
    thread.close()
    thread.close()
