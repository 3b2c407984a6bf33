"""P08: enrolled with a join token, a machine is a routable OpenAI target within seconds."""

from __future__ import annotations

import time

import pytest

MODEL = "smollm2-135m-instruct"
SECONDS = 30.0
"""From the token to the first answer of a real engine, started for it, on two slow cores."""


@pytest.mark.usefixtures("real")  # so that what has to be downloaded is there
async def test_p08_from_a_token_to_an_answer(deployment):
    await deployment.start_console()
    assert (await deployment.chat("Hello", model=MODEL)).status == 503  # no node is there yet
    began = time.monotonic()
    await deployment.enrol("node")
    await deployment.run_node("node")
    answer = await deployment.chat("What is the capital of France?", temperature=0, max_tokens=16)
    assert "Paris" in answer.text
    assert time.monotonic() - began < SECONDS
    (node,) = await deployment.nodes()
    assert node["state"] == "online"
    assert [model["id"] for model in node["models"]] == [MODEL]
