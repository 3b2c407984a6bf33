from __future__ import annotations

import json
from dataclasses import replace

import pytest

from byoi_agent.engine.view import EngineView, ServedModel
from byoi_agent.serving import local_answers as answers
from byoi_wire.ids import ModelId
from byoi_wire.messages import ResetCode
from byoi_wire.requests import RequestInvalid

SMALL = ServedModel(ModelId("small"), "small", ("/v1/chat/completions",), context_tokens=2048)
COMING = replace(SMALL, id=ModelId("owner/big"), is_loaded=False)
OVER = replace(SMALL, id=ModelId("over"), base=SMALL.id)


def told(fault):
    return fault.status, json.loads(fault.body)["error"]


def test_models_are_listed_once_loaded_or_not_but_none_that_goes():
    views = (
        EngineView("ready", "llamacpp", (SMALL, OVER)),
        EngineView("ready", "llamacpp", (SMALL,)),
        EngineView("stopped", "llamacpp", (COMING,)),
        EngineView("draining", "llamacpp", (replace(SMALL, id=ModelId("goes")),)),
    )
    listed = json.loads(answers.listed(answers.models_of(views)))
    assert [each["id"] for each in listed["data"]] == ["small", "over", "owner/big"]
    assert [each["is_loaded"] for each in listed["data"]] == [True, True, False]
    assert listed["data"][1]["parent"] == "small"
    assert {each["object"] for each in listed["data"]} == {"model"}


def test_one_model_is_described_by_its_whole_name():
    assert json.loads(answers.described([SMALL, COMING], "owner/big"))["id"] == "owner/big"
    assert answers.described([SMALL], "big") is None


def test_an_unknown_model_names_those_that_are_near():
    status, error = told(answers.unknown_model("smally\ud800", [SMALL, COMING]))
    assert (status, error["code"], error["param"]) == (404, "model_not_found", "model")
    assert "`small`" in error["message"]
    _, error = told(answers.unknown_model("x" * 9000, [SMALL]))
    assert "Did you mean" not in error["message"]
    assert len(error["message"]) < 400


@pytest.mark.parametrize(
    ("reason", "status", "kind"),
    [
        ("draining", 503, "server_error"),
        ("over_capacity", 429, "requests"),
        ("engine_not_ready", 503, "server_error"),
        ("anything else", 503, "server_error"),
        ("no_such_model", 404, "invalid_request_error"),
    ],
)
def test_what_is_not_let_in_says_why(reason, status, kind):
    there, error = told(answers.refused(reason))
    assert (there, error["type"], error["code"]) == (status, kind, reason)
    assert answers.cut(ResetCode.REFUSED, reason) == answers.refused(reason)


@pytest.mark.parametrize(
    ("code", "status", "name"),
    [
        (ResetCode.ENGINE_ERROR, 502, "engine_error"),
        (ResetCode.TIMED_OUT, 504, "engine_timeout"),
        (ResetCode.INTERNAL, 500, "internal_error"),
    ],
)
def test_what_failed_while_it_ran_never_repeats_an_engines_words(code, status, name):
    there, error = told(answers.cut(code, "secret words"))
    assert (there, error["code"]) == (status, name)
    assert "secret" not in error["message"]


def test_an_invalid_request_names_the_field():
    fault = answers.invalid(RequestInvalid("no", param="messages", code="missing"))
    status, error = told(fault)
    assert (status, error["param"], error["code"]) == (400, "messages", "missing")


def test_an_error_in_a_stream_is_an_event_of_its_dialect():
    fault = answers.cut(ResetCode.ENGINE_ERROR, "")
    chat = answers.event_of(fault.body, "chat")
    assert json.loads(chat.removeprefix(b"data: "))["error"]["code"] == "engine_error"
    assert chat.endswith(b"\n\n")
    kind, data = answers.event_of(fault.body, "responses").split(b"\n", 1)
    assert kind == b"event: error"
    assert json.loads(data.removeprefix(b"data: "))["type"] == "error"
