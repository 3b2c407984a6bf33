"""P01: OpenAI's JSON in, OpenAI's JSON out: choices, finish_reason, usage, and all that streams."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROMPT = "What is the capital of France?"
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 12}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOL = {"type": "function", "function": {"name": "look_up", "parameters": SCHEMA}}


async def test_p01_choices_finish_reason_and_usage(shared, real):
    asked = {"model": real, "temperature": 0, "max_tokens": 16}
    whole = (await shared.chat(PROMPT, stream=False, **asked)).json
    assert "Paris" in whole["choices"][0]["message"]["content"]
    assert whole["choices"][0]["finish_reason"] in {"stop", "length"}
    assert set(whole["usage"]) >= {"prompt_tokens", "completion_tokens", "total_tokens"}
    streamed = await shared.chat(PROMPT, stream_options={"include_usage": True}, **asked)
    assert streamed.is_complete
    assert streamed.text == whole["choices"][0]["message"]["content"]
    assert streamed.usage["completion_tokens"] == whole["usage"]["completion_tokens"]


async def test_p01_structured_output_and_logprobs(shared, real):
    form = {"type": "json_schema", "json_schema": {"name": "c", "strict": True, "schema": SCHEMA}}
    asked = {"model": real, "temperature": 0, "max_tokens": 40, "stream": False}
    answer = (await shared.chat(PROMPT, response_format=form, **asked)).json
    assert set(json.loads(answer["choices"][0]["message"]["content"])) == {"city"}
    answer = (await shared.chat(PROMPT, logprobs=True, top_logprobs=2, **asked)).json
    tokens = answer["choices"][0]["logprobs"]["content"]
    assert len(tokens) == answer["usage"]["completion_tokens"]


async def test_p01_tools_and_pictures(shared, stand_in):
    """With a model that knows both, which the small one that comes along does not."""
    answer = (await shared.chat(PROMPT, model=stand_in, stream=False, tools=[TOOL])).json
    (call,) = answer["choices"][0]["message"]["tool_calls"]
    assert call["function"]["name"] == "look_up"
    parts = [
        {"type": "text", "text": "p01"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,eA=="}},
    ]
    assert (await shared.chat(parts, model=stand_in)).is_complete
    seen = (await shared.engine_requests(shared.engine))[-1]["body"]
    assert seen["messages"][0]["content"] == parts
