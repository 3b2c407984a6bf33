"""An owner takes the machine back in the middle of an answer; another real engine finishes it."""

from __future__ import annotations

import asyncio
import json

import psutil
import pytest

from byoi_agent.control.client import ControlClient

STORY = [{"role": "user", "content": "Tell me about the sea."}]


async def read(deployment, after=None, on_cut=None, **fields):
    """A stream's request and objects; `on_cut` is awaited once `after` pieces have come."""
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
                return response.headers["x-request-id"], told
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


class Owners:
    """Those of the machines that serve: one of them takes back the one that answers."""

    def __init__(self, deployment, nodes):
        self.deployment = deployment
        self.clients = [ControlClient(socket_path=each.ready["control_socket"]) for each in nodes]
        self.engines = []

    async def status(self):
        return [await asyncio.to_thread(client.status) for client in self.clients]

    async def lend(self):
        for client in self.clients:
            await asyncio.to_thread(client.resume)

        async def all_serve():
            known, found = await self.deployment.nodes(), await self.status()
            serve = all(each["is_serving"] for each in known)
            ready = all(each.is_serving and each.engine.state == "ready" for each in found)
            return serve and ready and [psutil.Process(each.engine.pid) for each in found]

        self.engines = await self.deployment.until(all_serve)

    async def take_back(self):
        """While all engines stand still: none ends the answer before its owner is there."""
        for engine in self.engines:
            engine.suspend()
        running = [bool(each.running) for each in await self.status()]
        for engine, answers in zip(self.engines, running, strict=True):
            if not answers:
                engine.resume()
        for client, answers in zip(self.clients, running, strict=True):
            if answers:
                await asyncio.to_thread(client.pause, None)
        self.engines = []


async def told_in_two_parts(deployment, owners):
    """An engine may have said it all before its fifteenth piece was read: then it is asked again.

    Gives the objects and the two rows, the first attempt's first.
    """
    while True:  # within the time that every test has
        await owners.lend()
        request, told = await read(deployment, 15, owners.take_back)

        async def booked(request=request):
            """Each node sends the rows of its own attempts, so any of them may come first."""
            rows = [row for row in await deployment.rows() if row["request_id"] == request]
            last = next((row for row in rows if row["outcome"] == "complete"), None)
            return last and len(rows) == last["attempt"] and rows

        rows = await deployment.until(booked)
        if len(rows) > 1:
            return told, sorted(rows, key=lambda row: row["attempt"])


@pytest.mark.slow
async def test_an_answer_in_the_middle_of_which_the_owner_comes_back_is_finished_the_same(
    deployment,
):
    await deployment.start_console()
    nodes = [await deployment.start_node(name) for name in ("one", "two")]
    _, whole = await read(deployment)
    told, (cut, rest) = await told_in_two_parts(deployment, Owners(deployment, nodes))
    assert text_of(told) == text_of(whole)
    assert len({one["id"] for one in told}) == 1
    assert usage_of(told)["total_tokens"] == usage_of(whole)["total_tokens"]
    assert usage_of(told)["prompt_tokens"] == usage_of(whole)["prompt_tokens"]
    assert (cut["outcome"], rest["outcome"]) == ("failed", "complete")
    assert (cut["attempt"], rest["attempt"]) == (1, 2)
    assert cut["node_id"] != rest["node_id"]
    assert cut["completion_tokens"] >= 15
    assert rest["prompt_tokens"] > usage_of(whole)["prompt_tokens"]
