"""OpenAI's SDK for Node, unchanged: `openai_client.mjs` asks, what it heard is looked at here."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("openai_client.mjs")


@pytest.fixture(scope="session")
def heard(node, shared, stand_in, real):
    """All that the SDK heard."""
    engine = shared.engine.ready["url"]
    done = subprocess.run(
        [node, SCRIPT, f"{shared.url}/v1", shared.api_key, real, stand_in, engine],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_chat_streaming_and_not(heard, real):
    chat = heard["chat"]
    assert "Paris" in chat["whole"]
    assert chat["streamed"] == chat["whole"]
    assert chat["finish"] in {"stop", "length"}
    for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
        assert chat["streamedUsage"][name] == chat["wholeUsage"][name] > 0
    assert chat["requestId"].startswith("req_")


def test_a_json_schema_is_kept_to(heard, real):
    assert set(heard["jsonSchema"]) == {"city", "big"}
    assert isinstance(heard["jsonSchema"]["big"], bool)


def test_tools_streaming_and_not(heard, real):
    tools = heard["tools"]
    for call in (tools["whole"], tools["streamed"]):
        assert call["name"] == "weather"
        assert json.loads(call["arguments"])["town"]
    assert tools["final"]


def test_embeddings_as_numbers_and_as_base64(heard, real):
    for one, other in zip(*heard["embeddings"].values(), strict=True):
        assert one == pytest.approx(other, abs=1e-6)


def test_a_response_created_and_streamed(heard, real):
    responses = heard["responses"]
    assert "Paris" in responses["whole"]
    assert responses["streamed"] == responses["whole"]
    assert responses["first"] == "response.created"
    assert responses["last"] in {"response.completed", "response.incomplete"}


def test_models(heard, stand_in, real):
    assert heard["models"] == {"listed": sorted([stand_in, real]), "found": real}


@pytest.mark.parametrize(
    ("name", "kind", "status", "code", "param"),
    [
        ("unknownModel", "NotFoundError", 404, "model_not_found", "model"),
        ("wrongType", "BadRequestError", 400, "invalid_type", "temperature"),
        ("forbidden", "BadRequestError", 400, "unknown_parameter", "prompt_embeds"),
        ("tooLong", "BadRequestError", 400, "context_length_exceeded", "messages"),
        ("wrongKey", "AuthenticationError", 401, "invalid_api_key", None),
        ("midStream", "APIError", None, "engine_error", None),
    ],
)
def test_errors_are_the_sdks_own(heard, real, name, kind, status, code, param):
    told = heard["errors"][name]
    assert told["kind"] == kind
    assert told.get("status") == status
    assert told["code"] == code
    assert told["param"] == param
    assert told["message"]
    if status is not None:
        assert told["requestID"].startswith("req_")


@pytest.mark.asyncio(loop_scope="session")
async def test_a_stream_that_is_left_stops_the_engine(heard, real, shared):
    assert heard["leaving"] is True

    async def idle():
        return (await shared.engine_stats(shared.engine))["running"] == 0

    await shared.until(idle)
