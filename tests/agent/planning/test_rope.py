from __future__ import annotations

import math

import pytest

from byoi_agent.planning.rope import stretch


@pytest.mark.parametrize(
    ("rope", "factor"),
    [
        ({"type": "linear", "factor": 4.0}, 4.0),
        ({"rope_type": "dynamic", "factor": 8}, 8.0),
        ({"rope_type": "yarn", "factor": 4.0}, 1.0),  # vLLM 0.32.0: told after it
        ({"rope_type": "llama3", "factor": 8.0}, 1.0),
        ({"type": "su", "factor": 32.0}, 1.0),
        ({"type": "mrope", "mrope_section": [16, 24, 24]}, 1.0),
        ({"rope_type": "default", "factor": 4.0}, 1.0),
        ({"rope_type": "linear"}, 1.0),
        ({"factor": 4.0}, 1.0),
    ],
)
def test_only_lengths_that_are_told_before_are_stretched(rope, factor):
    assert stretch({"rope_scaling": rope}, "llama") == factor
    assert stretch({"rope_parameters": rope}, "llama") == factor
    assert stretch({"rope_parameters": {"full_attention": rope, "x": 1}}, "llama") == factor


@pytest.mark.parametrize("factor", [True, "4", None, math.inf, math.nan, 0.25, -3, [4]])
def test_what_is_no_factor_stretches_nothing(factor):
    assert stretch({"rope_scaling": {"type": "linear", "factor": factor}}, "llama") == 1.0


def test_no_file_stretches_without_end():
    assert stretch({"rope_scaling": {"type": "linear", "factor": 1e30}}, "llama") == 1024


@pytest.mark.parametrize("text", [{}, {"rope_scaling": None}, {"rope_scaling": "linear"}])
def test_a_model_without_any_stands_as_it_is(text):
    assert stretch(text, "llama") == 1.0


def test_gemma_3_is_told_after_it_though_it_is_linear():
    assert stretch({"rope_scaling": {"rope_type": "linear", "factor": 8}}, "gemma3_text") == 1.0
