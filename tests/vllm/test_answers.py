"""What clients get of a real vLLM through the whole path: OpenAI's forms and nothing of its own."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from typing import TYPE_CHECKING

import openai
import psutil
import pytest

if TYPE_CHECKING:
    from pathlib import Path

CAPITAL = [{"role": "user", "content": "What is the capital of France?"}]
STORY = {"role": "user", "content": "Tell me a long story about a lighthouse."}
LONG = "The keeper of the lighthouse writes down every ship that passes in the night. " * 14
"""Longer than a block of the prefix cache, 128 tokens on a CPU."""
SLOW_SECONDS = 600.0
"""Within which any machine has done what it is waited for."""


class Unix(http.client.HTTPConnection):
    """To the engine itself, past everything of ours."""

    def __init__(self, path: Path) -> None:
        super().__init__("engine", timeout=SLOW_SECONDS)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(SLOW_SECONDS)
        self.sock.connect(self._path)


def ask_engine(demo, method, path, body=None):
    with contextlib.closing(Unix(demo.socket)) as connection:
        connection.request(
            method, path, json.dumps(body) if body else None, {"content-type": "application/json"}
        )
        answer = connection.getresponse()
        return answer.status, answer.read()


def test_a_chat_is_answered_right(demo):
    answer = demo.client.chat.completions.create(model=demo.model, messages=CAPITAL, max_tokens=24)
    assert "Paris" in answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.prompt_tokens == 31
    assert answer.usage.completion_tokens > 3


def test_a_stream_has_usage_only_where_it_was_asked_for_and_only_at_its_end(demo):
    def stream(**options):
        return list(
            demo.client.chat.completions.create(
                model=demo.model, messages=CAPITAL, max_tokens=6, stream=True, **options
            )
        )

    plain = stream()
    assert len(plain) > 2  # of several tokens it may make one piece
    assert all(chunk.usage is None for chunk in plain)
    asked = stream(stream_options={"include_usage": True})
    assert [chunk.usage is not None for chunk in asked] == [False] * (len(asked) - 1) + [True]
    assert asked[-1].usage.completion_tokens == 6


def test_an_answer_is_gone_on_with_where_another_left_off(demo):
    """As the console does it where a node is taken back in the middle of an answer."""

    def tokens(count, *said, **fields):
        return "".join(
            chunk.choices[0].delta.content or ""
            for chunk in demo.client.chat.completions.create(
                model=demo.model,
                messages=[STORY, *({"role": "assistant", "content": text} for text in said)],
                max_tokens=count,
                stream=True,
                temperature=0,
                extra_body=fields,
            )
        )

    whole = tokens(24)
    begun = tokens(9)
    assert whole.startswith(begun)
    rest = tokens(15, begun, continue_final_message=True, add_generation_prompt=False)
    assert begun + rest == whole


def test_completions_of_several_choices_are_counted_all(demo):
    answer = demo.client.completions.create(
        model=demo.model, prompt=["Once", "Twice"], max_tokens=3, n=2, temperature=1
    )
    assert len(answer.choices) == 4
    assert answer.usage.completion_tokens == 12


def test_responses_are_answered(demo):
    answer = demo.client.responses.create(
        model=demo.model, input=CAPITAL[0]["content"], max_output_tokens=24
    )
    assert "Paris" in answer.output_text
    assert answer.usage.output_tokens > 3


def test_a_schema_is_enforced(demo):
    schema = {
        "type": "object",
        "properties": {"capital": {"type": "string", "enum": ["Paris", "Rome"]}},
        "required": ["capital"],
        "additionalProperties": False,
    }
    answer = demo.client.chat.completions.create(
        model=demo.model,
        messages=CAPITAL,
        max_tokens=40,
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": schema, "strict": True},
        },
    )
    assert json.loads(answer.choices[0].message.content) in (
        {"capital": "Paris"},
        {"capital": "Rome"},
    )


def test_fields_of_vllms_users_pass_and_those_that_steer_it_do_not(demo):
    ask = demo.client.chat.completions.create
    ask(model=demo.model, messages=CAPITAL, max_tokens=2, extra_body={"top_k": 5, "min_p": 0.1})
    for field in ("cache_salt", "chat_template", "kv_transfer_params", "vllm_xargs"):
        with pytest.raises(openai.BadRequestError) as refused:
            ask(model=demo.model, messages=CAPITAL, max_tokens=2, extra_body={field: "x"})
        assert refused.value.body["param"] == field


def test_a_model_without_a_tool_parser_says_so(demo):
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    with pytest.raises(openai.BadRequestError) as refused:
        demo.client.chat.completions.create(model=demo.model, messages=CAPITAL, tools=[tool])
    assert refused.value.body["param"] == "tools"
    assert "--tool-call-parser" not in str(refused.value)


def test_what_is_too_long_is_said_in_openais_words(demo):
    messages = [{"role": "user", "content": LONG * 12}]
    with pytest.raises(openai.BadRequestError) as refused:
        demo.client.chat.completions.create(model=demo.model, messages=messages)
    assert refused.value.code == "context_length_exceeded"
    assert "maximum context length is 2048 tokens" in str(refused.value)
    with pytest.raises(openai.BadRequestError) as refused:
        demo.client.chat.completions.create(model=demo.model, messages=CAPITAL, max_tokens=4000)
    assert refused.value.body["param"] == "max_tokens"


def test_an_unknown_model_is_refused_in_openais_words(demo):
    with pytest.raises(openai.NotFoundError) as refused:
        demo.client.chat.completions.create(model="nope", messages=CAPITAL)
    assert refused.value.code == "model_not_found"


def test_a_tenants_prompts_are_cached_for_that_tenant_alone(demo):
    messages = [{"role": "user", "content": LONG}]

    def through_the_path():
        answer = demo.client.chat.completions.create(
            model=demo.model, messages=messages, max_tokens=1
        )
        return answer.usage.prompt_tokens_details.cached_tokens

    assert through_the_path() in {0, None}
    assert through_the_path() >= 128
    # Somebody with another salt, or none, must not see by its speed what others have asked.
    for salt in ({}, {"cache_salt": "another"}):
        body = {"model": demo.model, "messages": messages, "max_tokens": 1, **salt}
        status, raw = ask_engine(demo, "POST", "/v1/chat/completions", body)
        assert status == 200
        assert not json.loads(raw)["usage"]["prompt_tokens_details"]["cached_tokens"]


def test_nothing_listens_where_others_could_ask(demo):
    assert demo.socket.is_socket()
    assert demo.socket.parent.stat().st_mode & 0o077 == 0
    for process in demo.machine.processes():
        for connection in process.net_connections("inet"):
            if connection.status == psutil.CONN_LISTEN:
                assert connection.laddr.ip in {"127.0.0.1", "::1"}, process.cmdline()


def test_the_node_tells_what_it_serves_with(demo):
    told = json.loads(demo.machine.run("status", "--json", seconds=60).stdout)
    assert told["engine"]["kind"] == "vllm"
    assert told["engine"]["state"] == "ready"
    assert demo.engine["kind"] == "vllm"
    assert psutil.pid_exists(demo.engine["pid"])


def test_an_engine_in_use_is_not_removed(demo):
    refused = demo.machine.run("engines", "remove", "vllm", seconds=60)
    assert refused.returncode == 1
    assert "in use" in refused.stderr
    (row,) = (
        row
        for row in json.loads(demo.machine.run("engines", "list", "--json", seconds=60).stdout)[
            "engines"
        ]
        if row["name"] == "vllm" and row["installed_bytes"]
    )
    assert row["installed_bytes"] > 10**9
