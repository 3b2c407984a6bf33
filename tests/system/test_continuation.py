"""An owner takes the machine back in the middle of an answer; another real engine finishes it."""

from __future__ import annotations

import asyncio
import json

import psutil
import pytest

from byoi_agent.control.client import ControlClient

STORY = [{"role": "user", "content": "Tell me about the sea."}]


async def read(deployment, after=None, on_cut=None, **fields):
    """A stream's objects; `on_cut` is awaited once `after` pieces of content have come."""
    body = {
        "model": await deployment.model(),
        "messages": STORY,
        "temperature": 0,
        "max_tokens": 80,
        "stream": True,
        "stream_options": {"include_usage": True},
        **fields,
    }
    headers = {"Authorization": f"Bearer {deployment.api_key}"}
    url = deployment.url + "/v1/chat/completions"
    told, pieces = [], 0
    async with deployment.http.post(url, json=body, headers=headers) as response:
        assert response.status == 200
        async for line in response.content:
            if line.strip() == b"data: [DONE]":
                return told
            if line.startswith(b"data: "):
                told.append(json.loads(line[6:]))
                assert "error" not in told[-1], told[-1]
                pieces += bool(text_of(told[-1:]))
                if pieces == after:
                    pieces += 1
                    await on_cut()
    raise AssertionError(f"cut in silence after {told[-1:]}")


def text_of(told):
    found = (one["choices"][0].get("delta", {}) for one in told if one.get("choices"))
    return "".join(delta.get("content") or "" for delta in found)


def usage_of(told):
    return next(one["usage"] for one in told if one.get("usage"))


@pytest.mark.slow
async def test_an_answer_in_the_middle_of_which_the_owner_comes_back_is_finished_the_same(
    deployment,
):
    await deployment.start_console()
    nodes = [await deployment.start_node(name) for name in ("one", "two")]
    clients = [ControlClient(socket_path=node.ready["control_socket"]) for node in nodes]
    whole = await read(deployment)
    engines = [psutil.Process(node.ready["engine"]["pid"]) for node in nodes]

    async def take_back():
        """While both engines stand still: neither ends the answer before the owner is there."""
        for engine in engines:
            engine.suspend()
        running = [(await asyncio.to_thread(client.status)).running for client in clients]
        assert sorted(running) == [0, 1]
        engines[running.index(0)].resume()
        await asyncio.to_thread(clients[running.index(1)].pause, None)

    told = await read(deployment, 15, take_back)
    assert text_of(told) == text_of(whole)
    assert len({one["id"] for one in told}) == 1
    assert usage_of(told)["total_tokens"] == usage_of(whole)["total_tokens"]
    assert usage_of(told)["prompt_tokens"] == usage_of(whole)["prompt_tokens"]

    async def booked():
        rows = await deployment.rows()
        return sorted(row["outcome"] for row in rows) == ["complete", "complete", "failed"] and rows

    rows = await deployment.until(booked)
    (cut,) = [row for row in rows if row["outcome"] == "failed"]
    (rest,) = [row for row in rows if row["request_id"] == cut["request_id"] and row != cut]
    assert (cut["attempt"], rest["attempt"]) == (1, 2)
    assert cut["node_id"] != rest["node_id"]
    assert cut["completion_tokens"] >= 15
    assert rest["prompt_tokens"] > usage_of(whole)["prompt_tokens"]
