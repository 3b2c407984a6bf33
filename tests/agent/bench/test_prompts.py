from __future__ import annotations

import json

from byoi_agent.bench.prompts import body, prompt


def test_no_prompt_begins_as_another_did():
    begins = {tuple(prompt(seed, 64).split()[:4]) for seed in range(500)}
    assert len(begins) == 500


def test_the_same_number_makes_the_same_prompt_of_about_so_many_words():
    assert prompt(7, 100) == prompt(7, 100)
    assert len(prompt(7, 1000).split()) - len(prompt(7, 500).split()) == 500


def test_a_request_streams_with_its_usage_and_goes_on_only_where_engines_know_how():
    asked = json.loads(body("m", "words", 128, ignores_end=True))
    assert (asked["model"], asked["max_tokens"], asked["stream"]) == ("m", 128, True)
    assert asked["stream_options"] == {"include_usage": True}
    assert asked["messages"] == [{"role": "user", "content": "words"}]
    assert asked["ignore_eos"] is True
    assert "ignore_eos" not in json.loads(body("m", "words", 128, ignores_end=False))
