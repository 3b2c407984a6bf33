from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from byoi_agent.serving.measure import NOTHING, Measured, measure, restate, without_tokenizer
from byoi_wire.usage import Usage

TOLD = Usage(prompt_tokens=9, completion_tokens=2)
COUNTED = Usage(prompt_tokens=11, completion_tokens=7)


def kind(counted=COUNTED, *, counts_all_choices=True):
    async def count(client, path, request, text):
        assert (client, path, request) == ("client", "/v1/completions", {"a": 1})
        return counted

    return SimpleNamespace(count=count, counts_all_choices=counts_all_choices)


def request(choices=1):
    return SimpleNamespace(path="/v1/completions", body=b'{"a":1}', choices=choices)


def answer(usage=None, text="", events=0):
    return SimpleNamespace(usage=usage, text=text, content_events=events)


@pytest.mark.parametrize(
    ("kind", "request_", "answer_", "measured"),
    [
        (kind(), request(), answer(TOLD), Measured(TOLD, "engine")),
        (kind(), request(2), answer(TOLD), Measured(TOLD, "engine")),
        (kind(counts_all_choices=False), request(1), answer(TOLD), Measured(TOLD, "engine")),
        (kind(counts_all_choices=False), request(2), answer(TOLD), Measured(COUNTED, "tokenizer")),
        (kind(counts_all_choices=False), request(2),
         answer(TOLD.model_copy(update={"cached_tokens": 8})),
         Measured(COUNTED.model_copy(update={"cached_tokens": 8}), "tokenizer")),
        (kind(None, counts_all_choices=False), request(2), answer(TOLD), Measured(TOLD, "engine")),
        (kind(), request(), answer(text="abc", events=3), Measured(COUNTED, "tokenizer")),
        (kind(), request(), answer(text=None, events=3),
         Measured(Usage(completion_tokens=3), "events")),
        (kind(None), request(), answer(), NOTHING),
    ],
)  # fmt: skip
async def test_the_engine_then_its_tokenizer_then_events(kind, request_, answer_, measured):
    assert await measure(kind, "client", request_, answer_, within_seconds=1.0) == measured


def test_at_once_nobody_is_asked():
    assert without_tokenizer(answer(TOLD, events=3)) == Measured(TOLD, "engine")
    assert without_tokenizer(answer(events=3)).counted_by == "events"
    assert without_tokenizer(answer()) == NOTHING


def test_usage_is_put_right_where_it_stands_and_nowhere_else():
    def event(value):
        return b"data: " + json.dumps(value).encode() + b"\n\n"

    usage = {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10, "details": None}
    last = event({"x": 1}) + event({"choices": [], "usage": usage}) + b"data: [DONE]\n\n"
    parts = restate(last, COUNTED, is_stream=True).split(b"\n\n")
    right = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18, "details": None}
    assert parts[0] == b'data: {"x": 1}'
    assert json.loads(parts[1].removeprefix(b"data: ")) == {"choices": [], "usage": right}
    assert parts[2:] == [b"data: [DONE]", b""]
    plain = restate(json.dumps({"usage": usage}).encode(), COUNTED, is_stream=False)
    assert json.loads(plain) == {"usage": right}


@pytest.mark.parametrize(
    "last",
    [
        b'{ "no": "usage" }',
        b'{ "usage": {"total_tokens":18,"prompt_tokens":11,"completion_tokens":7, "x": 1} }',
        b"[]",
        b"",
        b"no json",
    ],
)
def test_what_carries_no_usage_or_the_same_stays_as_it_was(last):
    assert restate(last, COUNTED, is_stream=False) == last
