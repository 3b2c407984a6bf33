"""P08: enrolled with a join token, a machine is a routable OpenAI target within seconds."""

from __future__ import annotations

import time

import pytest

MODEL = "smollm2-135m-instruct"
SECONDS = 30.0
"""From the token to the first answer of a real engine, started for it, on two slow cores."""


@pytest.mark.usefixtures("real")  # so that what has to be downloaded is there
async def test_p08_from_a_token_to_an_answer(deployment, helper):
    await deployment.start_console()
    assert (await deployment.chat("Hello", model=MODEL)).status == 503  # no node is there yet
    names = iter(("one", "two", "three", "four"))

    async def enrol():
        name = next(names)
        began = time.monotonic()
        await deployment.enrol(name)
        node = await deployment.run_node(name)
        answer = await deployment.chat(
            "What is the capital of France?", temperature=0, max_tokens=16
        )
        took = time.monotonic() - began
        assert "Paris" in answer.text
        (listed,) = [n for n in await deployment.nodes() if n["id"] == node.ready["node_id"]]
        assert listed["state"] == "online"
        assert [model["id"] for model in listed["models"]] == [MODEL]
        assert await node.stop() == 0
        return took

    await helper("promise").kept(SECONDS, enrol)
