"""Answers held against OpenAI's own description of them; see tests/contract/openai.json."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

DESCRIPTION = json.loads((Path(__file__).parent.parent / "contract" / "openai.json").read_text())
MESSAGES = [{"role": "user", "content": "What is the capital of France?"}]
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}

pytestmark = pytest.mark.asyncio(loop_scope="session")


def with_nulls(answer: dict) -> dict:
    """llama.cpp leaves out what is null; to every SDK that is the same, and bytes stay as said."""
    for choice in answer["choices"]:
        choice.setdefault("logprobs", None)
        for told in (choice.get("message"), choice["logprobs"]):
            if told is not None:
                told.setdefault("refusal", None)
    return answer


def problems(answer: object, name: str) -> list[str]:
    schema = {**DESCRIPTION, "$ref": f"#/$defs/{name}"}
    errors = jsonschema.Draft202012Validator(schema).iter_errors(answer)
    return [f"{error.json_path}: {error.message}" for error in errors]


@pytest.fixture(
    params=[
        "stand_in",
        pytest.param("real", marks=[pytest.mark.engine, pytest.mark.timeout(900)]),
    ]
)
def model(request):
    """Each check with the stand-in's answers and with the real engine's."""
    return request.getfixturevalue(request.param)


async def test_a_chat(shared, model):
    answer = await shared.chat("Hello", model=model, stream=False, max_tokens=4)
    assert not problems(with_nulls(answer.json), "CreateChatCompletionResponse")


async def test_a_chat_with_log_probabilities_and_several_choices(shared, model):
    answer = await shared.chat(
        "Hello", model=model, stream=False, max_tokens=4, logprobs=True, top_logprobs=2, n=2
    )
    assert not problems(with_nulls(answer.json), "CreateChatCompletionResponse")


async def test_a_streamed_chat(shared, model):
    answer = await shared.chat(
        "Hello", model=model, max_tokens=4, stream_options={"include_usage": True}
    )
    assert answer.is_complete
    for event in answer.events:
        assert not problems(with_nulls(event), "CreateChatCompletionStreamResponse")


async def test_a_tool_call(shared, stand_in):
    for stream, name in (
        (False, "CreateChatCompletionResponse"),
        (True, "CreateChatCompletionStreamResponse"),
    ):
        answer = await shared.chat("Hello", model=stand_in, stream=stream, tools=[TOOL])
        for told in answer.events if stream else [answer.json]:
            assert not problems(told, name)


async def test_a_completion(shared, model):
    body = {"model": model, "prompt": "One, two,", "max_tokens": 4}
    answer = await shared.post("/v1/completions", body)
    assert not problems(answer.json, "CreateCompletionResponse")


async def test_embeddings(shared, model):
    answer = await shared.post("/v1/embeddings", {"model": model, "input": ["a", "b"]})
    assert not problems(answer.json, "CreateEmbeddingResponse")


async def test_models(shared, model):
    headers = {"Authorization": f"Bearer {shared.api_key}"}
    async with shared.http.get(f"{shared.url}/v1/models", headers=headers) as response:
        assert not problems(await response.json(), "ListModelsResponse")
    async with shared.http.get(f"{shared.url}/v1/models/{model}", headers=headers) as response:
        assert not problems(await response.json(), "Model")


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/chat/completions", {"model": "none", "messages": MESSAGES}, 404),
        ("/v1/chat/completions", {"model": "stand-in"}, 400),
        ("/v1/chat/completions", ["no object"], 400),
        ("/v1/nothing", {}, 404),
        ("/v1/models", {}, 405),
        ("/api/nothing", {}, 404),
        ("/api/keys", {"name": "mine"}, 403),
        ("/agent/v1/token", {}, 400),
    ],
)
async def test_errors(shared, stand_in, path, body, status):
    answer = await shared.post(path, body)
    assert answer.status == status
    assert not problems(answer.json, "ErrorResponse")
