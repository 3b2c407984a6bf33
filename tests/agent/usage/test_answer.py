from __future__ import annotations

import json

import pytest

from byoi_agent.usage.answer import read_answer
from byoi_wire.usage import Usage

USAGE = {"prompt_tokens": 5, "completion_tokens": 2}
COUNTED = Usage(prompt_tokens=5, completion_tokens=2)


def chat(*reasons, **extra):
    choices = [{"message": {"content": "Hi"}, "finish_reason": reason} for reason in reasons]
    return {"choices": choices, "usage": USAGE, **extra}


@pytest.mark.parametrize(
    ("dialect", "value", "usage", "reason", "text"),
    [
        ("chat", chat("stop"), COUNTED, "stop", "Hi"),
        ("chat", chat("length", "stop"), COUNTED, "length", "HiHi"),
        ("chat", chat("stop", error=None), COUNTED, "stop", "Hi"),
        ("completion", {"choices": [{"text": "x", "finish_reason": "stop"}]}, None, "stop", "x"),
        (
            "embeddings",
            {"data": [], "usage": {"prompt_tokens": 5}},
            Usage(prompt_tokens=5),
            None,
            "",
        ),
        (
            "responses",
            {"status": "completed", "output": [], "usage": {"input_tokens": 5, "output_tokens": 2}},
            COUNTED,
            "completed",
            "",
        ),
        ("responses", {"status": "incomplete"}, None, "incomplete", ""),
    ],
)
def test_good_answers(dialect, value, usage, reason, text):
    facts = read_answer(dialect, json.dumps(value).encode())
    assert facts == (usage, reason, text, None)


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        ("chat", b"<html>"),
        ("chat", b"\xff"),
        ("chat", b"[" * 100_000),
        ("chat", b"[]"),
        ("chat", b"{}"),
        ("chat", b'{"choices":[]}'),
        ("chat", b'{"choices":[7]}'),
        ("chat", json.dumps(chat("stop", None)).encode()),
        ("chat", json.dumps(chat("stop", error={"message": "broken"})).encode()),
        ("embeddings", b"{}"),
        ("responses", b'{"status":"failed"}'),
        ("responses", b"{}"),
    ],
)
def test_answers_that_are_not_success(dialect, body):
    assert read_answer(dialect, body).failure
