from __future__ import annotations

import json

import pytest

from byoi_agent.bench.reader import AnswerReader
from byoi_agent.errors import EngineError


class Time:
    def __init__(self):
        self.now = 10.0

    def __call__(self):
        return self.now


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def reader(time):
    return AnswerReader(time)


def event(content):
    return b"data: " + json.dumps(content).encode() + b"\n\n"


def chunk(**delta):
    return event({"choices": [{"index": 0, "delta": delta}]})


USAGE = event(
    {
        "choices": [],
        "usage": {
            "prompt_tokens": 30,
            "completion_tokens": 2,
            "prompt_tokens_details": {"cached_tokens": 8},
        },
    }
)


def test_a_whole_answer(reader, time):
    reader.head_received(200, {})
    reader.body_received(chunk(role="assistant", content=""))
    for at in (10.5, 11.0):
        time.now = at
        reader.body_received(chunk(content="a"))
    time.now = 11.5
    reader.body_received(USAGE + b"data: [DONE]\n\n")
    reader.body_ended()
    answer = reader.answer()
    assert reader.is_over.is_set()
    assert (answer.began, answer.pieces, answer.ended) == (10.0, (10.5, 11.0), 11.5)
    assert (answer.prompt_tokens, answer.cached_tokens, answer.completion_tokens) == (30, 8, 2)
    assert answer.failure is None


def test_thoughts_and_calls_are_text_as_well(reader):
    reader.head_received(200, {})
    reader.body_received(chunk(reasoning_content="hm"))
    reader.body_received(chunk(tool_calls=[{"function": {"arguments": "{"}}]))
    reader.body_ended()
    assert len(reader.answer().pieces) == 2


def test_torn_and_joined_events_are_read_alike(reader, time):
    block = chunk(content="a") + chunk(content="b") + USAGE
    reader.head_received(200, {})
    for at in range(len(block)):
        reader.body_received(block[at : at + 1])
    reader.body_ended()
    assert len(reader.answer().pieces) == 2


def test_what_still_goes_on_is_cut_and_keeps_what_came(reader, time):
    reader.head_received(200, {})
    reader.body_received(chunk(content="a"))
    time.now = 12.0
    answer = reader.answer()
    assert (answer.pieces, answer.ended) == ((10.0,), 12.0)
    assert answer.failure == "no answer in time"
    assert not reader.is_over.is_set()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"error": {"message": "too many"}}', "HTTP 429: too many"),
        (b'{"error": "slow down"}', "HTTP 429: slow down"),
        (b'{"message": "no"}', "HTTP 429: no"),
        (b"<html>", "HTTP 429"),
        (b"[1]", "HTTP 429"),
        (b"", "HTTP 429"),
    ],
)
def test_a_refusal_is_told_with_its_words(reader, body, words):
    reader.head_received(429, {})
    reader.body_received(body)
    reader.body_ended()
    assert reader.status == 429
    assert reader.answer().failure == words


def test_a_long_refusal_is_not_kept_whole(reader):
    reader.head_received(500, {})
    for _ in range(100):
        reader.body_received(b"x" * 10_000)
    reader.body_ended()
    assert reader.answer().failure == "HTTP 500"


@pytest.mark.parametrize(
    ("blocks", "words"),
    [
        ([event({"error": {"message": "core died"}})], "an error within the answer: core died"),
        ([b"data: {\n\n"], "an event that is no JSON"),
        ([b"data: [1]\n\n", b": comment\n\n"], "an answer without text"),
        ([event({"choices": [3], "usage": None})], "an answer without text"),
        ([b"data: " + b"x" * 2_000_000], "an event is too large"),
    ],
)
def test_what_is_wrong_within_an_answer_is_a_failure(reader, blocks, words):
    reader.head_received(200, {})
    for block in blocks:
        reader.body_received(block)
    reader.body_ended()
    assert reader.answer().failure == words


def test_an_error_after_text_is_a_failure_too(reader):
    reader.head_received(200, {})
    reader.body_received(chunk(content="a") + event({"error": {"code": 1}}))
    reader.body_ended()
    assert reader.answer().failure == "an error within the answer"


def test_a_broken_connection_is_told(reader):
    reader.failed(EngineError("connection lost"))
    assert reader.is_over.is_set()
    assert reader.answer().failure == "connection lost"
