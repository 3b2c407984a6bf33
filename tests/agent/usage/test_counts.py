from __future__ import annotations

import pytest

from byoi_agent.usage.counts import output_pieces_of, pieces_of, usage_of
from byoi_wire.usage import Usage


@pytest.mark.parametrize(
    ("value", "usage"),
    [
        (
            {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
            Usage(prompt_tokens=3, completion_tokens=4),
        ),
        ({"prompt_tokens": 3, "total_tokens": 3}, Usage(prompt_tokens=3)),
        ({"input_tokens": 3, "output_tokens": 4}, Usage(prompt_tokens=3, completion_tokens=4)),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 8,
                "prompt_tokens_details": {"cached_tokens": 7},
                "completion_tokens_details": {"reasoning_tokens": 6},
            },
            Usage(prompt_tokens=9, completion_tokens=8, cached_tokens=7, reasoning_tokens=6),
        ),
        (
            {
                "input_tokens": 9,
                "output_tokens": 8,
                "input_tokens_details": {"cached_tokens": 7},
                "output_tokens_details": {"reasoning_tokens": 6},
            },
            Usage(prompt_tokens=9, completion_tokens=8, cached_tokens=7, reasoning_tokens=6),
        ),
        ({"prompt_tokens": 3, "prompt_tokens_details": None}, Usage(prompt_tokens=3)),
        ({"prompt_tokens": 3, "completion_tokens": -1}, Usage(prompt_tokens=3)),
        ({"prompt_tokens": "3"}, None),
        ({}, None),
        (None, None),
        ([1], None),
    ],
)
def test_usage_in_the_terms_of_either_api(value, usage):
    assert usage_of(value) == usage


def test_all_generated_text_of_a_choice():
    choice = {
        "text": "a",
        "delta": {
            "content": "b",
            "reasoning_content": "c",
            "reasoning": "d",
            "tool_calls": [{"function": {"name": "n", "arguments": "e"}}, {}, 7],
        },
        "message": {"content": None, "tool_calls": [{"function": {"arguments": "f"}}]},
    }
    assert list(pieces_of(choice)) == ["a", "b", "c", "d", "e", "f"]


def test_all_generated_text_of_a_response():
    response = {
        "output": [
            {"type": "message", "content": [{"type": "output_text", "text": "a"}]},
            {"type": "function_call", "arguments": "{}"},
            "odd",
        ]
    }
    assert list(output_pieces_of(response)) == ["a", "{}"]
