from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byoi_agent.engine.kinds.errors import translate

LLAMACPP_LONG = (
    "request (3021 tokens) exceeds the available context size (2048 tokens), try increasing it"
)
VLLM_LONG = (
    "This model's maximum context length is 2048 tokens. However, your prompt contains at least "
    "2049 input tokens, please shorten it."
)
OPENAI_LONG = (
    "This model's maximum context length is 2048 tokens. However, your messages resulted in 2049 "
    "tokens."
)


def body(message):
    return json.dumps({"error": {"message": message, "type": "x", "code": 400}}).encode()


@pytest.mark.parametrize(
    ("status", "text", "path", "limit", "count", "param"),
    [
        (400, LLAMACPP_LONG, "/v1/chat/completions", 2048, 3021, "messages"),
        (400, LLAMACPP_LONG, "/v1/completions", 2048, 3021, "prompt"),
        (400, LLAMACPP_LONG, "/v1/responses", 2048, 3021, "input"),
        (400, LLAMACPP_LONG, "", 2048, 3021, None),
        (400, VLLM_LONG, "/v1/chat/completions", 2048, 2049, "messages"),
        (400, OPENAI_LONG, "/v1/chat/completions", 2048, 2049, "messages"),
        (
            500,
            "input (3001 tokens) is too large to process. increase the physical batch size "
            "(current batch size: 1024)",
            "/v1/embeddings",
            1024,
            3001,
            "input",
        ),
    ],
)
def test_too_long_is_said_in_openais_words_with_its_numbers(
    status, text, path, limit, count, param
):
    status, answer = translate(status, body(text), path)
    error = answer["error"]
    assert status == 400
    assert error["code"] == "context_length_exceeded"
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param
    assert f"maximum context length is {limit} tokens" in error["message"]
    assert f"resulted in {count} tokens" in error["message"]


def test_too_long_is_known_by_llamacpps_fields_where_its_words_have_no_numbers():
    error = {
        "code": 400,
        "message": "the request exceeds the available context size, try increasing it",
        "type": "exceed_context_size_error",
        "n_prompt_tokens": 3021,
        "n_ctx": 2048,
    }
    status, answer = translate(400, json.dumps({"error": error}).encode(), "/v1/responses")
    assert status == 400
    assert answer["error"]["code"] == "context_length_exceeded"
    assert "2048 tokens" in answer["error"]["message"]
    assert "3021 tokens" in answer["error"]["message"]
    error["n_ctx"] = None
    status, answer = translate(400, json.dumps({"error": error}).encode(), "/v1/responses")
    assert (status, answer["error"]["code"]) == (400, None)


@pytest.mark.parametrize(
    ("status", "text", "expected", "param", "code"),
    [
        (400, "Field 'max_tokens': Value must be between -1", 400, "max_tokens", None),
        (500, "image input is not supported - hint: mmproj", 400, "messages", None),
        (400, "JSON schema conversion failed: at 0x7f", 400, "response_format", None),
        (400, "Failed to parse grammar", 400, "response_format", None),
        (400, "[json.exception.parse_error.101] secret", 400, None, None),
        (422, "secret", 400, None, None),
        (401, "Unauthorized", 502, None, "engine_error"),
        (403, "secret", 502, None, "engine_error"),
        (404, "model secret not found", 502, None, "engine_error"),
        (429, "secret", 503, None, "engine_not_ready"),
        (503, "Loading model", 503, None, "engine_not_ready"),
        (500, "Traceback: /usr/lib/secret.py", 502, None, "engine_error"),
    ],
)
def test_whose_fault_it_is_decides_the_status(status, text, expected, param, code):
    status, answer = translate(status, body(text), "/v1/chat/completions")
    assert status == expected
    assert answer["error"]["param"] == param
    assert answer["error"]["code"] == code


VLLM = [  # as vLLM 0.32 answered
    (
        400,
        {
            "error": {
                "message": "1 validation error:\n  {'type': 'json_invalid', 'loc': ('body', 1)}",
                "type": "Bad Request",
                "param": "body.1",
                "code": 400,
            }
        },
        (400, None),
    ),
    (400, {"detail": "There was an error parsing the body"}, (400, None)),
    (401, {"error": "Unauthorized"}, (502, "engine_error")),
    (404, {"detail": "Not Found"}, (502, "engine_error")),
    (405, {"detail": "Method Not Allowed"}, (502, "engine_error")),
    (
        404,
        {
            "error": {
                "message": "The model `nope` does not exist. Valid aliases: smol.",
                "type": "NotFoundError",
                "param": "model",
                "code": 404,
            }
        },
        (502, "engine_error"),
    ),
    (
        500,
        {
            "error": {
                "message": "cannot schedule new futures after shutdown",
                "type": "InternalServerError",
                "param": None,
                "code": 500,
            }
        },
        (502, "engine_error"),
    ),
    (
        500,
        {
            "error": {
                "message": "EngineCore encountered an issue. See stack trace (above)",
                "type": "InternalServerError",
                "param": None,
                "code": 500,
            }
        },
        (502, "engine_error"),
    ),
]


@pytest.mark.parametrize(("status", "answered", "expected"), VLLM)
def test_vllms_own_shapes_become_openais_and_its_words_stay_here(status, answered, expected):
    status, answer = translate(status, json.dumps(answered).encode(), "/v1/chat/completions")
    error = answer["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (status, error["code"]) == expected
    assert error["type"] == ("invalid_request_error" if status == 400 else "server_error")
    told = answered.get("detail") or answered["error"]
    words = told if isinstance(told, str) else told["message"]
    assert words not in json.dumps(answer)


@pytest.mark.parametrize(
    "raw",
    [b"", b"<html>secret", b"[1]", b"null", b'"x"', b'{"error": "Unauthorized"}', b"[" * 100_000],
)
def test_a_body_of_any_other_form_is_an_engines_failure(raw):
    assert translate(500, raw, "")[0] == 502
    assert "secret" not in json.dumps(translate(500, raw, "")[1])


@given(st.integers(400, 599), st.text(max_size=200), st.sampled_from(["", "/v1/completions"]))
def test_an_engines_text_never_reaches_a_client(status, text, path):
    marked = f"zq9x{text}zq9x"
    status, answer = translate(status, body(marked), path)
    assert status in {400, 502, 503}
    assert "zq9x" not in json.dumps(answer)


@pytest.mark.parametrize(
    ("text", "said", "param"),
    [  # as vLLM 0.32.0 wrote them
        (
            "max_tokens=5000 cannot be greater than max_model_len=2048. Please request fewer "
            "output tokens. (parameter=max_tokens, value=5000)",
            "max_tokens is too large: 5000. This model's context is 2048 tokens",
            "max_tokens",
        ),
        (
            "temperature must be non-negative, got -1.0. (parameter=temperature, value=-1.0)",
            "Invalid value for 'temperature'.",
            "temperature",
        ),
        (
            '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser',
            "This model does not support tools.",
            "tools",
        ),
        ("smol is not a multimodal model", "does not accept multimodal input", "messages"),
        (
            "Grammar error: regex parse error:\n    ((\n     ^\nerror: unclosed group",
            "cannot enforce this schema",
            "response_format",
        ),
    ],
)
def test_vllms_refusals_are_said_in_openais_words(text, said, param):
    status, answer = translate(400, body(text), "/v1/chat/completions")
    assert status == 400
    assert said in answer["error"]["message"]
    assert answer["error"]["param"] == param
    assert answer["error"]["type"] == "invalid_request_error"
