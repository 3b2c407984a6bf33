"""The owner before guests at a real vLLM: he has a seat of his own, and nobody is moved."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import openai
import pytest

PROMPT = [{"role": "user", "content": "Tell a long story of a lighthouse."}]
SLOTS = 8
SLOW_SECONDS = 600.0
"""Within which any machine has done what it is waited for."""


@pytest.fixture
def local(demo):
    control_url = demo.ready["nodes"][0]["control_url"]
    places = map(Path.read_text, demo.machine.folder.rglob("nodes/*/control.json"))
    (url,) = [
        place["local_url"]
        for place in map(json.loads, places)
        if place["control_url"] == control_url
    ]
    with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as local:
        yield local


class Guest(threading.Thread):
    """One that asks for a long answer by the console, and keeps what came of it."""

    def __init__(self, demo) -> None:
        super().__init__(daemon=True)
        self._demo = demo
        self.begun = threading.Event()
        self.ended_at = None
        self.finish = None

    def run(self):
        asked = {"model": self._demo.model, "messages": PROMPT, "max_tokens": 200}
        extra = {"ignore_eos": True}
        with self._demo.client.chat.completions.create(
            **asked, stream=True, extra_body=extra
        ) as stream:
            for chunk in stream:
                self.begun.set()
                if chunk.choices and chunk.choices[0].finish_reason:
                    self.finish = chunk.choices[0].finish_reason
        self.ended_at = time.monotonic()


def test_with_all_slots_taken_the_owner_is_answered_first_and_no_guest_is_cut(demo, local):
    guests = [Guest(demo) for _ in range(SLOTS)]
    for guest in guests:
        guest.start()
    for guest in guests:
        assert guest.begun.wait(SLOW_SECONDS)
    answer = local.chat.completions.create(model=demo.model, messages=PROMPT, max_tokens=8)
    answered_at = time.monotonic()
    assert answer.usage.completion_tokens == 8
    for guest in guests:
        guest.join(SLOW_SECONDS)
    assert [guest.finish for guest in guests] == ["length"] * SLOTS
    assert all(guest.ended_at > answered_at for guest in guests)
