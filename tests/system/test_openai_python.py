"""OpenAI's SDK for Python, unchanged: it is told a base URL and a key, and all else is its own."""

from __future__ import annotations

import asyncio
import base64
import json
import struct

import openai
import pytest
import pytest_asyncio
from pydantic import BaseModel

on_shared_loop = pytest.mark.asyncio(loop_scope="session")

CAPITAL = [{"role": "user", "content": "What is the capital of France?"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a town",
        "parameters": {
            "type": "object",
            "properties": {"town": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["town"],
        },
    },
}
TIME = {
    "type": "function",
    "function": {"name": "time", "parameters": WEATHER["function"]["parameters"]},
}
FLAT_WEATHER = {"type": "function", **WEATHER["function"], "strict": False}


class Town(BaseModel):
    """What a structured answer is read into."""

    name: str
    inhabitants: int


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def async_client(shared):
    async with openai.AsyncOpenAI(
        base_url=f"{shared.url}/v1", api_key=shared.api_key
    ) as async_client:
        yield async_client


# The real engine


def test_a_chat(client, real):
    answer = client.chat.completions.create(
        model=real, messages=CAPITAL, temperature=0, max_completion_tokens=12
    )
    (choice,) = answer.choices
    assert "Paris" in choice.message.content
    assert choice.message.role == "assistant"
    assert choice.finish_reason in {"stop", "length"}
    assert answer.model == real
    assert answer.object == "chat.completion"
    assert answer.usage.prompt_tokens > 5
    assert 0 < answer.usage.completion_tokens <= 12
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_a_streamed_chat_says_the_same_and_its_usage_comes_last(client, real):
    asked = {"model": real, "messages": CAPITAL, "temperature": 0, "max_tokens": 12}
    whole = client.chat.completions.create(**asked)
    with client.chat.completions.create(
        **asked, stream=True, stream_options={"include_usage": True}
    ) as stream:
        chunks = list(stream)
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == whole.choices[0].message.content
    *before, last = chunks
    assert last.choices == []
    assert last.usage.completion_tokens == whole.usage.completion_tokens
    assert last.usage.prompt_tokens == whole.usage.prompt_tokens
    assert not any(chunk.usage for chunk in before)
    assert [c.choices[0].finish_reason for c in before if c.choices][-1] in {"stop", "length"}


def test_a_streamed_chat_without_stream_options_has_no_usage(client, real):
    chunks = list(
        client.chat.completions.create(model=real, messages=CAPITAL, max_tokens=2, stream=True)
    )
    assert all(chunk.choices for chunk in chunks)
    assert not any(chunk.usage for chunk in chunks)


@on_shared_loop
async def test_a_chat_from_asyncio_streaming_and_not(async_client, real):
    asked = {"model": real, "messages": CAPITAL, "temperature": 0, "max_tokens": 8}
    whole = await async_client.chat.completions.create(**asked)
    async with await async_client.chat.completions.create(**asked, stream=True) as stream:
        pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
    assert "".join(pieces) == whole.choices[0].message.content
    assert len([piece for piece in pieces if piece]) > 1


def test_a_json_schema_is_kept_to(client, real):
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 12}, "big": {"type": "boolean"}},
        "required": ["city", "big"],
        "additionalProperties": False,
    }
    answer = client.chat.completions.create(
        model=real,
        messages=CAPITAL,
        temperature=0,
        max_tokens=60,
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "city", "strict": True, "schema": schema},
        },
    )
    told = json.loads(answer.choices[0].message.content)
    assert set(told) == {"city", "big"}
    assert isinstance(told["big"], bool)


def test_an_answer_is_parsed_into_a_model_of_pydantics(client, stand_in, real):
    for model in (stand_in, real):
        answer = client.chat.completions.parse(
            model=model,
            messages=[{"role": "user", "content": "Paris has 2 million inhabitants. As JSON:"}],
            response_format=Town,
            temperature=0,
            max_tokens=120,
        )
        assert isinstance(answer.choices[0].message.parsed, Town)


def test_log_probabilities(client, real):
    answer = client.chat.completions.create(
        model=real, messages=CAPITAL, temperature=0, max_tokens=4, logprobs=True, top_logprobs=3
    )
    tokens = answer.choices[0].logprobs.content
    assert len(tokens) == answer.usage.completion_tokens
    assert "".join(token.token for token in tokens).strip().startswith("The")
    for token in tokens:
        assert token.logprob <= 0
        assert len(token.top_logprobs) == 3


def test_several_choices(client, real):
    answer = client.chat.completions.create(
        model=real, messages=CAPITAL, temperature=0, max_tokens=4, n=2
    )
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert all(choice.message.content for choice in answer.choices)


def test_stop_ends_an_answer(client, real):
    answer = client.chat.completions.create(
        model=real, messages=CAPITAL, temperature=0, max_tokens=20, stop=["France"]
    )
    assert answer.choices[0].finish_reason == "stop"
    assert "France" not in answer.choices[0].message.content
    assert "capital" in answer.choices[0].message.content


def test_the_same_seed_gives_the_same_answer(client, real):
    first, second = (
        client.chat.completions.create(
            model=real, messages=CAPITAL, temperature=1.5, max_tokens=12, seed=7
        )
        for _ in range(2)
    )
    assert first.choices[0].message.content == second.choices[0].message.content


def test_a_completion_streaming_and_not(client, real):
    asked = {"model": real, "prompt": "One, two, three,", "temperature": 0, "max_tokens": 6}
    whole = client.completions.create(**asked)
    assert "four" in whole.choices[0].text
    assert whole.object == "text_completion"
    assert whole.usage.completion_tokens == 6
    chunks = list(client.completions.create(**asked, stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == whole.choices[0].text


def test_embeddings_as_numbers_and_as_base64(client, real):
    texts = ["a cat", "a kitten", "the ledger of a bank"]
    floats = client.embeddings.create(model=real, input=texts, encoding_format="float")
    decoded = client.embeddings.create(model=real, input=texts)  # the SDK asks for base64
    raw = client.embeddings.create(model=real, input=texts[0], encoding_format="base64")
    assert [one.index for one in floats.data] == [0, 1, 2]
    assert floats.usage.prompt_tokens > 0
    for one, other in zip(floats.data, decoded.data, strict=True):
        assert one.embedding == pytest.approx(other.embedding, abs=1e-5)
    packed = base64.b64decode(raw.data[0].embedding)
    unpacked = struct.unpack(f"<{len(packed) // 4}f", packed)
    assert list(unpacked) == pytest.approx(floats.data[0].embedding, abs=1e-5)


def test_a_response_created_and_streamed(client, real):
    asked = {"model": real, "input": "What is the capital of France?", "temperature": 0}
    whole = client.responses.create(**asked, max_output_tokens=16)
    assert "Paris" in whole.output_text
    assert whole.usage.output_tokens > 0
    kinds, text = [], ""
    for event in client.responses.create(**asked, max_output_tokens=16, stream=True):
        kinds.append(event.type)
        if event.type == "response.output_text.delta":
            text += event.delta
    assert text == whole.output_text
    assert kinds[0] == "response.created"
    assert kinds[-1] in {"response.completed", "response.incomplete"}


def test_a_response_by_the_sdks_own_stream_helper(client, stand_in):
    with client.responses.stream(model=stand_in, input="tell me") as stream:
        text = "".join(e.delta for e in stream if e.type == "response.output_text.delta")
        assert stream.get_final_response().output_text == text


def test_too_long_a_prompt_is_told_with_both_numbers(client, real):
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(
            model=real, messages=[{"role": "user", "content": "word " * 9000}]
        )
    assert refused.value.code == "context_length_exceeded"
    assert refused.value.param == "messages"
    limit = client.models.retrieve(real).context_length
    assert f"maximum context length is {limit} tokens" in refused.value.message
    assert "resulted in 90" in refused.value.message


# Models and headers


def test_models_are_listed_and_found_by_name(client, stand_in, real):
    listed = {model.id: model for model in client.models.list()}
    assert set(listed) == {stand_in, real}
    found = client.models.retrieve(real)
    assert listed[real] == found
    assert found.object == "model"
    assert found.created > 1_600_000_000
    assert found.owned_by


def test_headers_are_there_for_who_wants_them(client, stand_in):
    raw = client.chat.completions.with_raw_response.create(model=stand_in, messages=CAPITAL)
    assert raw.headers["x-request-id"].startswith("req_")
    assert raw.request_id == raw.headers["x-request-id"]
    assert raw.parse()._request_id == raw.headers["x-request-id"]


def test_fields_without_effect_are_taken_and_named(client, stand_in):
    raw = client.chat.completions.with_raw_response.create(
        model=stand_in, messages=CAPITAL, store=True, user="me", metadata={"a": "b"}
    )
    assert set(raw.headers["x-byoi-dropped"].split(", ")) == {"store", "user", "metadata"}


# Tools


def test_a_tool_is_called_and_its_result_goes_back(client, stand_in):
    asked = {"model": stand_in, "messages": list(CAPITAL), "tools": [WEATHER]}
    answer = client.chat.completions.create(**asked)
    (choice,) = answer.choices
    assert choice.finish_reason == "tool_calls"
    (call,) = choice.message.tool_calls
    assert call.function.name == "weather"
    assert "town" in json.loads(call.function.arguments)
    asked["messages"] += [
        choice.message,
        {"role": "tool", "tool_call_id": call.id, "content": "sunny"},
    ]
    final = client.chat.completions.create(**asked)
    assert final.choices[0].message.content
    assert not final.choices[0].message.tool_calls


def test_tools_called_in_parallel_arrive_in_pieces(client, stand_in):
    calls: dict[int, list[str]] = {}
    finish = None
    for chunk in client.chat.completions.create(
        model=stand_in,
        messages=CAPITAL,
        tools=[WEATHER, TIME],
        parallel_tool_calls=True,
        stream=True,
    ):
        (choice,) = chunk.choices
        finish = choice.finish_reason or finish
        for call in choice.delta.tool_calls or ():
            name_and_arguments = calls.setdefault(call.index, ["", ""])
            name_and_arguments[0] += call.function.name or ""
            name_and_arguments[1] += call.function.arguments or ""
    assert finish == "tool_calls"
    assert [name for name, _ in calls.values()] == ["weather", "time"]
    assert all("town" in json.loads(arguments) for _, arguments in calls.values())


def test_a_tool_can_be_named_forbidden_and_required(client, stand_in):
    asked = {"model": stand_in, "messages": CAPITAL, "tools": [WEATHER, TIME]}
    named = {"type": "function", "function": {"name": "time"}}
    answer = client.chat.completions.create(**asked, tool_choice=named)
    assert [c.function.name for c in answer.choices[0].message.tool_calls] == ["time"]
    assert client.chat.completions.create(**asked, tool_choice="none").choices[0].message.content
    required = client.chat.completions.create(**asked, tool_choice="required")
    assert required.choices[0].message.tool_calls


def test_the_sdks_own_helper_puts_streamed_tools_together(client, stand_in):
    tool = openai.pydantic_function_tool(Town, name="note_town")
    with client.chat.completions.stream(model=stand_in, messages=CAPITAL, tools=[tool]) as stream:
        stream.until_done()
        (call,) = stream.get_final_completion().choices[0].message.tool_calls
    assert isinstance(call.function.parsed_arguments, Town)


def test_a_response_calls_a_tool(client, stand_in):
    answer = client.responses.create(model=stand_in, input="hm", tools=[FLAT_WEATHER])
    (call,) = answer.output
    assert call.type == "function_call"
    assert json.loads(call.arguments)["town"]
    arguments = "".join(
        event.delta
        for event in client.responses.create(
            model=stand_in, input="hm", tools=[FLAT_WEATHER], stream=True
        )
        if event.type == "response.function_call_arguments.delta"
    )
    assert json.loads(arguments)["town"]


@on_shared_loop
async def test_pictures_go_along_as_data(async_client, stand_in, shared):
    picture = "data:image/png;base64," + base64.b64encode(b"no matter").decode()
    parts = [{"type": "text", "text": "what"}, {"type": "image_url", "image_url": {"url": picture}}]
    await async_client.chat.completions.create(
        model=stand_in, messages=[{"role": "user", "content": parts}]
    )
    seen = (await shared.engine_requests(shared.engine))[-1]["body"]
    assert seen["messages"][0]["content"] == parts


# Errors


def test_a_wrong_key(shared, stand_in):
    with (
        openai.OpenAI(base_url=f"{shared.url}/v1", api_key="sk-byoi-wrong") as stranger,
        pytest.raises(openai.AuthenticationError) as refused,
    ):
        stranger.chat.completions.create(model=stand_in, messages=CAPITAL)
    assert refused.value.code == "invalid_api_key"
    assert refused.value.request_id.startswith("req_")


def test_a_model_that_nobody_has(client, stand_in):
    with pytest.raises(openai.NotFoundError) as refused:
        client.chat.completions.create(model="stand-on", messages=CAPITAL)
    assert refused.value.code == "model_not_found"
    assert refused.value.param == "model"
    assert f"`{stand_in}`" in refused.value.message
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("stand-on")


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("temperature", "hot", "invalid_type"),
        ("temperature", 9, "invalid_value"),
        ("messages", "hello", "invalid_type"),
        ("messages", [], "array_below_min_length"),
        ("chat_template", "{{ x }}", "unknown_parameter"),
        ("n", 9, "invalid_value"),
    ],
)
def test_what_a_request_must_not_hold(client, stand_in, field, value, code):
    body = {"model": stand_in, "messages": CAPITAL}
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(**body, extra_body={field: value})
    assert refused.value.code == code
    assert refused.value.param == field


async def _limited_key(shared, **limits):
    return (await shared.admin("POST", "/api/keys", {"name": "limited", **limits}))["key"]


@on_shared_loop
async def test_a_key_that_has_asked_enough(shared, stand_in):
    key = await _limited_key(shared, requests_per_minute=1)
    async with openai.AsyncOpenAI(
        base_url=f"{shared.url}/v1", api_key=key, max_retries=0
    ) as limited:
        await limited.chat.completions.create(model=stand_in, messages=CAPITAL)
        with pytest.raises(openai.RateLimitError) as refused:
            await limited.chat.completions.create(model=stand_in, messages=CAPITAL)
    assert refused.value.code == "rate_limit_exceeded"
    assert 1 <= int(refused.value.response.headers["retry-after"]) <= 60


@on_shared_loop
async def test_a_key_that_may_not_use_a_model(shared, stand_in):
    key = await _limited_key(shared, models=["another"])
    async with openai.AsyncOpenAI(base_url=f"{shared.url}/v1", api_key=key) as limited:
        with pytest.raises(openai.PermissionDeniedError) as refused:
            await limited.chat.completions.create(model=stand_in, messages=CAPITAL)
        assert [model.id async for model in limited.models.list()] == []
    assert refused.value.code == "model_not_allowed"


@on_shared_loop
async def test_a_client_that_does_not_wait(async_client, stand_in, shared):
    with pytest.raises(openai.APITimeoutError):
        await async_client.with_options(timeout=0.3, max_retries=0).chat.completions.create(
            model=stand_in,
            messages=[{"role": "user", "content": "[[first_token_seconds=30]]"}],
        )
    await _idle(shared)


@on_shared_loop
async def test_a_client_that_closes_a_stream_early(async_client, stand_in, shared):
    stream = await async_client.chat.completions.create(
        model=stand_in,
        messages=[{"role": "user", "content": "[[tokens_per_second=50]]"}],
        max_tokens=3000,
        stream=True,
    )
    async with stream:
        async for _ in stream:
            break
    await _idle(shared)
    assert (await shared.engine_requests(shared.engine))[-1]["outcome"] == "aborted"


async def _idle(shared):
    """The engine's own word that nothing runs."""

    async def idle():
        return (await shared.engine_stats(shared.engine))["running"] == 0

    await shared.until(idle)


@on_shared_loop
async def test_an_engine_that_fails_in_mid_stream_raises(async_client, stand_in, shared):
    heard = []
    impatient = async_client.with_options(max_retries=0)

    async def listen(stream):
        async for chunk in stream:
            heard.extend((chunk.choices[0].delta.content or "").split())
            if len(heard) == 3:  # it fails then: what is still on its way would be given up
                await shared.let_go(shared.engine)

    await shared.hold(shared.engine, 3)
    try:
        stream = await impatient.chat.completions.create(
            model=stand_in,
            messages=[{"role": "user", "content": "[[fault=truncated after=3]]"}],
            stream=True,
        )
        with pytest.raises(openai.APIError) as failed:
            await listen(stream)
    finally:
        await shared.let_go(shared.engine)
    assert len(heard) == 3
    assert failed.value.code == "engine_error"


# Idempotency


@on_shared_loop
async def test_one_key_is_one_answer_however_often_it_is_asked(async_client, stand_in, shared):
    served = (await shared.engine_stats(shared.engine))["served"]
    asked = {
        "model": stand_in,
        "messages": [{"role": "user", "content": "once and for all"}],
        "extra_headers": {"Idempotency-Key": "python-once"},
    }
    answers = await asyncio.gather(
        *(async_client.chat.completions.create(**asked) for _ in range(3))
    )
    assert len({answer.id for answer in answers}) == 1
    assert (await shared.engine_stats(shared.engine))["served"] == served + 1
    asked["messages"] = CAPITAL
    with pytest.raises(openai.BadRequestError) as refused:
        await async_client.chat.completions.create(**asked)
    assert refused.value.code == "idempotency_key_reused"
