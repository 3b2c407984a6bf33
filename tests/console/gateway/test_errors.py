from __future__ import annotations

import json

import pytest

from byoi_console import errors as console
from byoi_console.gateway import errors
from byoi_wire.messages import ResetCode
from byoi_wire.requests import RequestInvalid


@pytest.mark.parametrize(
    ("raised", "status", "code"),
    [
        (RequestInvalid("m", "p", "c"), 400, "c"),
        (RequestInvalid("m", status=413), 413, None),
        (console.Unauthenticated("m"), 401, "invalid_api_key"),
        (console.Forbidden("m"), 403, "model_not_allowed"),
        (errors.ModelUnknown("m", ()), 404, "model_not_found"),
        (errors.RouteUnknown("GET", "/v1/x"), 404, "unknown_url"),
        (errors.MethodRefused("GET", "/v1/x", "POST"), 405, "method_not_supported"),
        (errors.MediaRefused("m"), 415, "unsupported_media_type"),
        (console.LimitExceeded("c", "m", 0.2, {"x-a": "1"}), 429, "rate_limit_exceeded"),
        (console.TooManyAttempts(2.5), 429, "rate_limit_exceeded"),
        (errors.Unserved("engine_error", "m"), 503, "engine_error"),
        (console.LedgerUnavailable("secret"), 503, "not_bookable"),
        (console.NotFound("secret"), 500, "internal_error"),
    ],
)
def test_every_refusal_is_openai_s_error_object(raised, status, code):
    answer = errors.answer_to(raised)
    error = json.loads(answer.body)["error"]
    assert (answer.status, error["code"]) == (status, code)
    assert set(error) == {"message", "type", "param", "code"}
    assert "secret" not in error["message"]
    if status in {429, 503}:
        assert int(dict(answer.headers)[b"retry-after"]) >= 1


def test_a_message_may_repeat_half_a_surrogate_pair():
    answer = errors.answer_to(errors.ModelUnknown("\udcff", ("a", "b")))
    assert "`a` or `b`" in json.loads(answer.body)["error"]["message"]


@pytest.mark.parametrize("code", list(ResetCode))
def test_every_reset_has_a_code_and_a_sentence(code):
    assert errors.text_of(errors.code_of(code))


def test_a_node_s_refusal_becomes_an_event_where_the_stream_is_open():
    body = json.dumps({"error": {"message": "m", "code": "c", "extra": 1}}).encode()
    assert json.loads(errors.event_of(body, "chat")[6:])["error"]["message"] == "m"
    first, second = errors.event_of(body, "responses").strip().split(b"\n")
    assert first == b"event: error"
    told = json.loads(second[6:])
    assert (told["type"], told["message"], told["code"]) == ("error", "m", "c")


@pytest.mark.parametrize("reason", ["drained", "use", "paused"])
def test_who_finds_all_nodes_away_is_told_each_reason_there_is(reason):
    assert reason in errors.text_of("nodes_away")
