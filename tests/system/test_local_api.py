"""The owner's own /v1 by OpenAI's SDK, unchanged: it is told another base URL, and no key."""

from __future__ import annotations

import asyncio
import json

import openai
import pytest

on_shared_loop = pytest.mark.asyncio(loop_scope="session")

CAPITAL = [{"role": "user", "content": "What is the capital of France?"}]


@pytest.fixture(scope="session")
def local(shared, real):
    """The SDK before the node with the real engine."""
    url = json.loads((shared.folder / "real.ready").read_text())["local_url"]
    with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as local:
        yield local


def test_a_chat_streaming_and_not(local, real):
    asked = {"model": real, "messages": CAPITAL, "temperature": 0, "max_completion_tokens": 12}
    whole = local.chat.completions.create(**asked)
    text = whole.choices[0].message.content
    assert "Paris" in text
    with local.chat.completions.create(
        **asked, stream=True, stream_options={"include_usage": True}
    ) as stream:
        chunks = list(stream)
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == text
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens


def test_completions_embeddings_and_responses(local, real):
    done = local.completions.create(model=real, prompt="One, two,", max_tokens=4)
    assert done.choices[0].text
    found = local.embeddings.create(model=real, input=["a", "b"])
    assert len(found.data) == 2
    answer = local.responses.create(model=real, input="Say hello.", max_output_tokens=8)
    assert answer.output_text
    kinds = [
        event.type
        for event in local.responses.create(
            model=real, input="Say hello.", max_output_tokens=8, stream=True
        )
    ]
    assert kinds[0] == "response.created"
    assert kinds[-1] in {"response.completed", "response.incomplete"}


def test_models(local, real):
    assert real in [model.id for model in local.models.list()]
    assert local.models.retrieve(real).id == real


def test_errors_are_those_that_the_sdk_knows(local, real):
    with pytest.raises(openai.NotFoundError, match="is not on this node"):
        local.chat.completions.create(model="nobody", messages=CAPITAL)
    with pytest.raises(openai.BadRequestError):
        local.chat.completions.create(model=real, messages=[])
    with pytest.raises(openai.PermissionDeniedError, match="web pages may not"):
        local.with_options(default_headers={"Origin": "http://evil.example"}).models.list()


@on_shared_loop
async def test_none_of_it_is_on_a_bill(shared, local, real):
    before = {(row["request_id"], row["attempt"]) for row in await shared.rows()}
    ask = local.chat.completions.create
    await asyncio.to_thread(ask, model=real, messages=CAPITAL, max_tokens=2)
    rows = await shared.rows()
    model_of = {(row["request_id"], row["attempt"]): row["model"] for row in rows}
    # What came of other tests a moment ago may still be booked; of this model nothing else ran.
    assert real not in {model for name, model in model_of.items() if name not in before}
