"""A real engine's answer through a link that breaks again and again."""

from __future__ import annotations

import asyncio
import random

import psutil
import pytest

QUESTION = "Write a long story about the sea, a harbour and an old ship. Use many words."
TOKENS = 450
ENDLESS = {"2": -100}
"""The end of a turn (`<|im_end|>`) is forbidden to SmolLM2: its answers have all their tokens."""
CUTS = 20
SLOW_SECONDS = 60.0
"""Within which any machine has done what it is waited for."""


@pytest.mark.timeout(900)
@pytest.mark.slow
@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_an_answer_cut_at_twenty_points_is_the_uninterrupted_one(
    deployment, helper, proxy_to, how
):
    """The engine stands still from the moment of a cut until there is another link."""
    await deployment.start_console()
    proxy = await proxy_to("127.0.0.1", deployment.console_port)
    node = await deployment.start_node("node", port=proxy.port)
    engine = psutil.Process(node.ready["engine"]["pid"])
    fields = {"temperature": 0, "seed": 1, "max_tokens": TOKENS, "logit_bias": ENDLESS}
    whole = await deployment.chat(QUESTION, **fields)
    assert whole.is_complete
    cuts = answers = 0
    while cuts < CUTS:  # a machine that stood still had an answer past several points at once
        dice = random.Random(cuts)
        points = sorted(dice.sample(range(1, len(whole.body) * 3 // 4), CUTS - cuts))
        answer = helper("deployment").Answer()
        running = asyncio.create_task(deployment.chat(QUESTION, into=answer, **fields))
        while points and not running.done():
            await asyncio.sleep(0.01)
            if len(answer.body) < points[0]:
                continue
            engine.suspend()
            points = [point for point in points if point > len(answer.body)]
            before = proxy.links
            proxy.cut(how)
            cuts += 1
            async with asyncio.timeout(SLOW_SECONDS):
                while proxy.links == before:
                    await asyncio.sleep(0.01)
            engine.resume()
        await running
        assert answer.is_complete
        assert _contents(answer) == _contents(whole)
        answers += 1
        assert answers <= CUTS, "hardly an answer is cut"

    async def booked():
        rows = await deployment.rows()
        return rows if len(rows) == 1 + answers else None

    rows = await deployment.until(booked)
    assert {row["attempt"] for row in rows} == {1}


@pytest.mark.slow
async def test_silence_in_mid_answer_is_survived(deployment, helper, proxy_to):
    await deployment.start_console()
    proxy = await proxy_to("127.0.0.1", deployment.console_port)
    await deployment.start_node("node", port=proxy.port)
    fields = {"temperature": 0, "seed": 1, "max_tokens": 160, "logit_bias": ENDLESS}
    whole = await deployment.chat(QUESTION, **fields)
    answer = helper("deployment").Answer()
    running = asyncio.create_task(deployment.chat(QUESTION, into=answer, **fields))

    async def has_begun():
        return answer.has_text

    await deployment.until(has_begun)
    proxy.cut("silence")
    await running
    assert answer.is_complete
    assert _contents(answer) == _contents(whole)


def _contents(answer):
    """The answer's choices, without the id and the time that each answer has of its own."""
    return [event["choices"] for event in answer.events if event.get("choices")]
