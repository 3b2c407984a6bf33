"""A real engine's answer through a link that breaks again and again."""

from __future__ import annotations

import asyncio
import random

import pytest

QUESTION = "Write a long story about the sea, a harbour and an old ship. Use many words."


@pytest.mark.timeout(300)
@pytest.mark.slow
@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_an_answer_cut_at_twenty_points_is_the_uninterrupted_one(deployment, proxy_to, how):
    await deployment.start_console()
    proxy = await proxy_to("127.0.0.1", deployment.console_port)
    await deployment.start_node("node", port=proxy.port)
    fields = {"temperature": 0, "seed": 1, "max_tokens": 450}
    whole = await deployment.chat(QUESTION, **fields)
    assert whole.is_complete
    assert len(whole.events) > 150, "the answer is too short to be cut twenty times"
    dice = random.Random(20)
    running = asyncio.create_task(deployment.chat(QUESTION, **fields))
    cuts = 0
    while cuts < 20 and not running.done():
        await asyncio.sleep(dice.uniform(0.05, 0.5))
        before = proxy.links
        proxy.cut(how)
        cuts += 1
        async with asyncio.timeout(10):
            while proxy.links == before and not running.done():
                await asyncio.sleep(0.01)
    answer = await running
    assert answer.is_complete
    assert _contents(answer) == _contents(whole)
    assert cuts >= 10
    rows = await deployment.rows()
    assert [row["attempt"] for row in rows] == [1, 1]


@pytest.mark.slow
async def test_silence_in_mid_answer_is_survived(deployment, proxy_to):
    await deployment.start_console()
    proxy = await proxy_to("127.0.0.1", deployment.console_port)
    await deployment.start_node("node", port=proxy.port)
    fields = {"temperature": 0, "seed": 1, "max_tokens": 160}
    whole = await deployment.chat(QUESTION, **fields)
    running = asyncio.create_task(deployment.chat(QUESTION, **fields))
    await asyncio.sleep(1.5)
    proxy.cut("silence")
    answer = await running
    assert answer.is_complete
    assert _contents(answer) == _contents(whole)


def _contents(answer):
    """The answer's choices, without the id and the time that each answer has of its own."""
    return [event["choices"] for event in answer.events if event.get("choices")]
