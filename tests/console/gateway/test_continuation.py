from __future__ import annotations

import json

import pytest

from byoi_console.gateway.continuation import KEPT_LIMIT_BYTES, may_continue
from byoi_console.gateway.relay import Patience
from byoi_wire.messages import Availability, ResetCode

AWAY = Availability(serving=False, code="paused")
CHAT = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 9}


def chunks(body):
    """The events of a stream as objects, and whether it ended as streams do."""
    lines = [line for line in body.split(b"\n") if line.startswith(b"data: ")]
    told = [json.loads(line[6:]) for line in lines if line != b"data: [DONE]"]
    return told, lines[-1] == b"data: [DONE]"


def text_of(told):
    found = (one["choices"][0] for one in told if one.get("choices"))
    return "".join(c.get("text") or c.get("delta", {}).get("content") or "" for c in found)


def piece(name, **delta):
    told = {"id": name, "created": len(name), "model": "tiny"}
    told["choices"] = [{"index": 0, "delta": delta, "finish_reason": None}]
    return b"data: %b\n\n" % json.dumps(told).encode()


def last(name, prompt, completion, reason="stop"):
    choice = {"index": 0, "delta": {}, "finish_reason": reason}
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": prompt},
    }
    told = [{"id": name, "choices": [choice]}, {"id": name, "choices": [], "usage": usage}]
    data = b"".join(b"data: %b\n\n" % json.dumps(one).encode() for one in told)
    return data + b"data: [DONE]\n\n"


async def cut_after(world, request, *words, code=ResetCode.HANDED_BACK, engine="llamacpp"):
    """A client whose stream was cut behind these words, and the node that goes on."""
    first = world.node("node_1", engine=engine)
    client = await world.client()
    client.send(request)
    stream = await first.session.next_stream()
    stream.answer_head()
    stream.data(piece("one", role="assistant", content=""))
    for word in words:
        stream.data(piece("one", content=word))
    second = world.node("node_2", engine=engine)
    world.registry.set_availability(first.node_id, AWAY)
    stream.reset(code, "the node's owner needs the machine")
    return client, second


async def test_vllm_is_told_that_the_last_message_is_to_be_gone_on_with(world):
    client, second = await cut_after(world, world.chat(), "the", engine="vllm")
    stream = await second.session.next_stream()
    assert stream.request["continue_final_message"] is True
    assert stream.request["add_generation_prompt"] is False
    client.close()


@pytest.mark.parametrize("code", [ResetCode.HANDED_BACK, ResetCode.LOST])
async def test_another_node_finishes_what_one_began_and_the_client_sees_one_answer(world, code):
    request = world.chat(max_tokens=9, stream_options={"include_usage": True})
    client, second = await cut_after(world, request, "the", " sea", code=code)
    stream = await second.session.next_stream()
    assert stream.head.attempt == 2
    assert stream.request["messages"][-1] == {"role": "assistant", "content": "the sea"}
    assert stream.request["max_tokens"] == 7
    stream.answer_head()
    stream.data(piece("another", role="assistant", content=None))
    for word in (" is", " vast"):
        stream.data(piece("another", content=word))
    stream.data(last("another", prompt=12, completion=2))
    stream.end()
    status, _, body = await client.answer()
    told, is_done = chunks(body)
    assert (status, is_done, text_of(told)) == (200, True, "the sea is vast")
    assert {one["id"] for one in told} == {"one"}
    assert {one["created"] for one in told} == {3}
    assert sum("role" in one["choices"][0]["delta"] for one in told if one["choices"]) == 1
    (usage,) = [one["usage"] for one in told if one.get("usage")]
    assert usage == {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}
    booked = await world.books.wait_for(2)
    assert [(one.attempt, one.node_id, one.outcome) for one in booked] == [
        (1, "node_1", "failed"),
        (2, "node_2", "complete"),
    ]
    assert booked[0].delivered_events == 2
    assert (booked[1].usage.prompt_tokens, booked[1].usage.completion_tokens) == (12, 2)


async def test_counts_that_nobody_asked_for_are_not_told(world):
    client, second = await cut_after(world, world.chat(), "the")
    (await second.session.next_stream()).stream_all(" sea")
    told, is_done = chunks((await client.answer())[2])
    assert (text_of(told), is_done) == ("the sea", True)
    assert not [one for one in told if one.get("usage")]


async def test_an_answer_goes_on_as_often_as_owners_come_back(world):
    client, node = await cut_after(world, world.chat(max_tokens=9), "a", "b")
    for at in range(3, 6):
        stream = await node.session.next_stream()
        stream.answer_head()
        stream.data(piece("x", content="c"))
        world.registry.set_availability(node.node_id, AWAY)
        node = world.node(f"node_{at}", engine="llamacpp")
        stream.reset(ResetCode.HANDED_BACK)
    stream = await node.session.next_stream()
    assert stream.request["messages"][-1]["content"] == "abccc"
    assert stream.request["max_tokens"] == 4
    stream.stream_all("d")
    assert text_of(chunks((await client.answer())[2])[0]) == "abcccd"


async def test_a_completion_goes_on_behind_its_prompt_on_any_engine(world):
    first = world.node("node_1")
    client = await world.client()
    body = {"model": "tiny", "prompt": "The sea", "max_tokens": 5, "stream": True}
    client.send(world.post(b"/v1/completions", body))
    stream = await first.session.next_stream()
    stream.answer_head()
    stream.data(b'data: {"id":"one","choices":[{"index":0,"text":" is"}]}\n\n')
    second = world.node("node_2")
    world.registry.set_availability(first.node_id, AWAY)
    stream.reset(ResetCode.HANDED_BACK)
    again = await second.session.next_stream()
    assert (again.request["prompt"], again.request["max_tokens"]) == ("The sea is", 4)
    again.answer_head()
    again.data(b'data: {"id":"b","choices":[{"index":0,"text":" big","finish_reason":null}]}\n\n')
    again.data(last("b", 4, 1))
    again.end()
    told, is_done = chunks((await client.answer())[2])
    assert (text_of(told), is_done) == (" is big", True)


async def test_where_nobody_can_go_on_the_client_hears_so_at_once(make_world):
    async with make_world(Patience(candidate=60)) as world:
        client, second = await cut_after(world, world.chat(), "the")
        stream = await second.session.next_stream()
        stream.answer_head()
        stream.data(piece("x", content=" sea"))
        world.registry.remove(second.node_id, second)
        stream.reset(ResetCode.LOST)
        assert b"upstream_lost" in (await client.answer())[2]


async def test_an_engine_that_may_not_go_on_is_not_asked_to(world):
    client, second = await cut_after(world, world.chat(), "the")
    world.registry.remove(second.node_id, second)
    other = world.node("node_3", engine="attached")
    body = (await client.answer())[2]
    assert chunks(body)[0][-1]["error"]["code"] == "node_reclaimed"
    assert not other.session.opened


@pytest.mark.parametrize(
    "last_event",
    [
        piece("one", reasoning_content="hm"),
        piece("one", tool_calls=[{"index": 0}]),
        b'data: {"id":"one","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
        b'data: {"id":"one","choices":[{"delta":{"content":"a"}},{"delta":{"content":"b"}}]}\n\n',
        b'data: {"id":"one","choices":["a"]}\n\n',
        b'data: {"id":"one","choices":{"a":1}}\n\n',
        b'data: {"id":"one","choices":[{"delta":["a"]}]}\n\n',
        b'data: {"id":"one","choices":[{"delta":{"content":{"a":1}}}]}\n\n',
    ],
    ids=[
        "reasoning",
        "a call of a tool",
        "finished",
        "two choices",
        "no choice",
        "choices by name",
        "a list of deltas",
        "content that is no text",
    ],
)
async def test_what_is_more_than_text_or_finished_is_not_continued(world, last_event):
    first, other = world.node("node_1", engine="llamacpp"), None
    client = await world.client()
    client.send(world.chat())
    stream = await first.session.next_stream()
    stream.answer_head()
    stream.data(piece("one", content="a"))
    stream.data(last_event)
    other = world.node("node_2", engine="llamacpp")
    stream.reset(ResetCode.HANDED_BACK)
    assert chunks((await client.answer())[2])[0][-1]["error"]["code"] == "node_reclaimed"
    assert not other.session.opened


@pytest.mark.parametrize("choices", [["a"], {"a": 1}, [{"delta": ["a"]}], [[]]])
async def test_what_a_later_node_makes_up_goes_by_as_it_does_from_a_first_one(world, choices):
    client, second = await cut_after(world, world.chat(), "a")
    stream = await second.session.next_stream()
    stream.answer_head()
    stream.data(piece("two", content="b"))
    stream.data(b"data: %b\n\n" % json.dumps({"id": "two", "choices": choices}).encode())
    stream.data(last("two", 9, 2))
    stream.end()
    told, is_whole = chunks((await client.answer())[2])
    assert is_whole
    assert {"choices": choices, **{k: told[0][k] for k in ("id", "created", "model")}} in told


async def test_what_an_engine_has_against_the_rest_is_not_told_as_the_request_s_fault(world):
    client, second = await cut_after(world, world.chat(), "a")
    stream = await second.session.next_stream()
    stream.answer_head(400, "application/json")
    stream.data(b'{"error":{"message":"no prefill with thinking","type":"invalid_request_error"}}')
    stream.end()
    told, is_whole = chunks((await client.answer())[2])
    assert told[-1]["error"]["code"] == "node_reclaimed"
    assert not is_whole


async def test_what_nobody_could_keep_is_not_continued(world):
    word = "x" * (KEPT_LIMIT_BYTES // 10)
    client, second = await cut_after(world, world.chat(), *([word] * 11))
    assert b"node_reclaimed" in (await client.answer())[2][-300:]
    assert not second.session.opened


async def test_an_answer_without_a_token_left_is_not_continued(world):
    client, second = await cut_after(world, world.chat(max_tokens=2), "a", "b")
    assert b"node_reclaimed" in (await client.answer())[2]
    assert not second.session.opened


async def test_a_broken_engine_s_answer_is_not_given_to_another(world):
    client, second = await cut_after(world, world.chat(), "a", code=ResetCode.ENGINE_ERROR)
    assert b"engine_error" in (await client.answer())[2]
    assert not second.session.opened


@pytest.mark.parametrize(
    ("path", "body", "may"),
    [
        ("/v1/chat/completions", CHAT, True),
        ("/v1/chat/completions", {**CHAT, "n": 1, "stop": ["x"], "seed": 3}, True),
        ("/v1/chat/completions", {**CHAT, "n": 2}, False),
        ("/v1/chat/completions", {**CHAT, "tools": []}, False),
        ("/v1/chat/completions", {**CHAT, "response_format": {"type": "json_object"}}, False),
        ("/v1/chat/completions", {**CHAT, "logprobs": True}, False),
        ("/v1/chat/completions", {**CHAT, "frequency_penalty": 1}, False),
        ("/v1/chat/completions", {"messages": [{"role": "assistant", "content": "a"}]}, False),
        ("/v1/chat/completions", {"messages": []}, False),
        ("/v1/completions", {"prompt": "a", "max_tokens": 5}, True),
        ("/v1/completions", {"prompt": "a"}, False),
        ("/v1/completions", {"prompt": [1, 2], "max_tokens": 5}, False),
        ("/v1/completions", {"prompt": "a", "max_tokens": 5, "echo": True}, False),
        ("/v1/responses", {"input": "a"}, False),
        ("/v1/embeddings", {"input": "a"}, False),
    ],
)
def test_only_plain_text_can_be_finished_by_another(path, body, may):
    assert may_continue(path, body) is may
