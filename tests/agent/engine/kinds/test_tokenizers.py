from __future__ import annotations

import pytest

from byoi_agent.engine.kinds.tokenizers import (
    count_with_llamacpp,
    count_with_vllm,
    messages_of,
    texts_of,
)
from byoi_wire.usage import Usage

CHAT = "/v1/chat/completions"


def words(key):
    return lambda body: {"tokens": body[key].split()}


@pytest.fixture
def llamacpp(engine):
    def apply(body):
        turns = " ".join(f"<{turn['role']}> {turn['content']}" for turn in body["messages"])
        return {"prompt": f"{turns} <assistant>"}

    engine.table["/apply-template"] = (200, apply)
    engine.table["/tokenize"] = (200, words("content"))
    return engine


@pytest.fixture
def vllm(engine):
    def tokenize(body):
        if "messages" in body:
            return {"count": 3 + sum(len(turn["content"].split()) for turn in body["messages"])}
        return {"count": len(body["prompt"].split())}

    engine.table["/tokenize"] = (200, tokenize)
    return engine


REQUESTS = [
    (CHAT, {"model": "m", "messages": [{"role": "user", "content": "a b"}]}, 4, 5),
    ("/v1/responses", {"model": "m", "input": "a b"}, 4, 5),
    ("/v1/responses", {"model": "m", "input": "a", "instructions": "b c"}, 6, 6),
    ("/v1/completions", {"model": "m", "prompt": "a b c"}, 3, 3),
    ("/v1/completions", {"model": "m", "prompt": ["a b", "c"]}, 3, 3),
    ("/v1/completions", {"model": "m", "prompt": [5, 6, 7, 8]}, 4, 4),
    ("/v1/completions", {"model": "m", "prompt": [[5, 6], [7]]}, 3, 3),
]


@pytest.mark.parametrize(("path", "request_body", "prompt", "_"), REQUESTS)
async def test_llamacpp_counts_what_its_template_makes(llamacpp, path, request_body, prompt, _):
    usage = await count_with_llamacpp(llamacpp.client, path, request_body, "x y z")
    assert usage == Usage(prompt_tokens=prompt, completion_tokens=3)


@pytest.mark.parametrize(("path", "request_body", "_", "prompt"), REQUESTS)
async def test_vllm_applies_its_template_itself(vllm, path, request_body, _, prompt):
    usage = await count_with_vllm(vllm.client, path, request_body, "x y z")
    assert usage == Usage(prompt_tokens=prompt, completion_tokens=3)


@pytest.mark.parametrize("count", [count_with_llamacpp, count_with_vllm])
async def test_an_engine_without_a_tokenizer_counts_nothing(engine, count):
    assert await count(engine.client, CHAT, REQUESTS[0][1], "x") is None
    engine.table["/tokenize"] = (200, {"neither": 1})
    assert await count(engine.client, "/v1/completions", {"prompt": "a"}, "x") is None


@pytest.mark.parametrize("count", [count_with_llamacpp, count_with_vllm])
async def test_nothing_sent_counts_nothing(llamacpp, vllm, count):
    usage = await count(llamacpp.client, "/v1/completions", {"prompt": [1]}, "")
    assert usage == Usage(prompt_tokens=1)


async def test_tools_are_part_of_the_prompt(llamacpp):
    request = {**REQUESTS[0][1], "tools": [{"type": "function"}]}
    await count_with_llamacpp(llamacpp.client, CHAT, request, "")
    assert llamacpp.asked[0][2]["tools"] == [{"type": "function"}]


def test_a_responses_input_becomes_messages():
    given = [
        {"role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "x"}]},
        {"type": "reasoning"},
        {"role": "assistant", "content": None},
        "odd",
    ]
    assert messages_of("/v1/responses", {"input": given}) == [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": ""},
    ]
    assert messages_of("/v1/embeddings", {"input": "a"}) is None


def test_texts_are_found_whatever_their_form():
    assert texts_of({"input": "a"}) == ["a"]
    assert texts_of({}) == []
    assert texts_of({"prompt": []}) == [[]]
