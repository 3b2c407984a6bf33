from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byoi_wire.requests import (
    EXTRA_FIELDS,
    ROUTES,
    RequestInvalid,
    check,
    decode_body,
    encode_body,
    openai_error,
)

CHAT = ROUTES["/v1/chat/completions"]
HELLO = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
ALL_EXTRA = frozenset(EXTRA_FIELDS)

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.sampled_from(["function", "text", "user", "image_url", "http://10.0.0.1/", "object"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "function", "name", "role", "content", "url", "parameters"])
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
NAMES = st.sampled_from(
    sorted({name for route in ROUTES.values() for name in route.fields} | set(EXTRA_FIELDS))
) | st.text(max_size=6)


@given(st.sampled_from(sorted(ROUTES)), st.dictionaries(NAMES, VALUES, max_size=6), st.booleans())
def test_any_json_gives_only_listed_fields_or_a_refusal(path, body, extra):
    route = ROUTES[path]
    try:
        checked = check(route, body, allowed_extra=ALL_EXTRA if extra else frozenset())
    except RequestInvalid as error:
        checked = None
        status, message = error.status, error.message
    if checked is None:
        assert status == 400
        assert message
        return
    passed = {name for name, rule in route.fields.items() if rule.passed}
    assert set(checked.body) <= passed | (ALL_EXTRA if extra else set())
    assert not set(checked.body) & set(checked.dropped)


@given(VALUES.map(lambda v: {"messages": v, "model": "m"}) | st.just(HELLO))
def test_messages_of_any_shape_are_checked_or_refused(body):
    param = "none"
    try:
        check(CHAT, body)
    except RequestInvalid as error:
        param = error.param
    assert param


@given(st.binary(max_size=64) | VALUES.map(lambda v: json.dumps(v).encode()))
def test_any_bytes_are_decoded_or_refused(data):
    try:
        body = decode_body(data)
    except RequestInvalid:
        return
    assert decode_body(encode_body(body)) == body


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'"text"',
        b"\xff",
        b"\xef\xbb\xbf{}",
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":1e999}',
        b'{"a":"\\ud800"}',
        b'{"\\udc00":1}',
        b"{'a':1}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"a":' + b"[" * 64 + b"]" * 64 + b"}",
        b'{"a":' + b"9" * 5000 + b"}",
    ],
)
def test_bodies_that_two_readers_could_see_differently_are_refused(data):
    with pytest.raises(RequestInvalid) as refusal:
        decode_body(data)
    assert refusal.value.status == 400


def test_depth_of_64_is_taken_and_one_more_is_not():
    decode_body(b'{"a":' + b"[" * 63 + b"]" * 63 + b"}")
    with pytest.raises(RequestInvalid, match="64 levels"):
        decode_body(b'{"a":' + b"[" * 64 + b"]" * 64 + b"}")


def test_fields_known_to_openai_without_effect_are_dropped_and_named():
    checked = check(CHAT, {**HELLO, "store": True, "user": "u", "metadata": {"a": "b"}})
    assert checked.body == HELLO
    assert checked.dropped == ("store", "user", "metadata")


def test_null_counts_as_absent():
    assert check(CHAT, {**HELLO, "temperature": None, "store": None}) == (HELLO, ())


@pytest.mark.parametrize(
    "field",
    [
        "chat_template",
        "guided_json",
        "structured_outputs",
        "logits_processors",
        "prompt_embeds",
        "mm_processor_kwargs",
        "cache_salt",
        "priority",
        "n_discard",
        "kv_transfer_params",
        "vllm_xargs",
        "api_base",
        "base_url",
        "api_key",
        "extra_headers",
        "previous_response_id",
        "conversation",
        "",
    ],
)
@pytest.mark.parametrize("path", sorted(ROUTES))
def test_fields_that_could_steer_an_engine_are_refused_by_name(path, field):
    with pytest.raises(RequestInvalid) as refusal:
        check(ROUTES[path], {field: {}}, allowed_extra=ALL_EXTRA)
    assert refusal.value.param == field
    assert refusal.value.code == "unknown_parameter"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", 5),
        ("messages", "hi"),
        ("messages", []),
        ("temperature", "warm"),
        ("temperature", 2.1),
        ("temperature", True),
        ("temperature", 10**400),
        ("top_p", -0.1),
        ("n", 9),
        ("n", 0),
        ("n", 1.5),
        ("stop", ["a"] * 5),
        ("stop", [1]),
        ("stream", "yes"),
        ("seed", 2**63),
        ("max_tokens", 0),
        ("logit_bias", {"x": 1}),
        ("logit_bias", {"1": 101}),
        ("logit_bias", {str(n): 1 for n in range(1025)}),
        ("top_logprobs", 21),
        ("reasoning_effort", "huge"),
        ("modalities", ["text", "audio"]),
        ("tool_choice", "maybe"),
        ("tool_choice", {"type": "function", "function": {}}),
        ("stream_options", {"chunk": 1}),
    ],
)
def test_a_wrong_value_is_refused_with_its_param(field, value):
    with pytest.raises(RequestInvalid) as refusal:
        check(CHAT, {**HELLO, field: value})
    assert (refusal.value.param or "").startswith(field)


@pytest.mark.parametrize("field", ["model", "messages"])
def test_a_missing_field_is_named(field):
    body = {name: value for name, value in HELLO.items() if name != field}
    with pytest.raises(RequestInvalid) as refusal:
        check(CHAT, body)
    assert (refusal.value.param, refusal.value.code) == (field, "missing_required_parameter")


def test_extra_fields_pass_only_where_they_are_allowed():
    body = {**HELLO, "top_k": 5, "chat_template_kwargs": {"enable_thinking": False}}
    assert check(CHAT, body, allowed_extra=ALL_EXTRA).body == body
    with pytest.raises(RequestInvalid):
        check(CHAT, body, allowed_extra=frozenset({"top_k"}))
    with pytest.raises(RequestInvalid):
        check(
            CHAT,
            {**HELLO, "chat_template_kwargs": {"chat_template": "{{x}}"}},
            allowed_extra=ALL_EXTRA,
        )


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/completions", {"prompt": "once"}),
        ("/v1/completions", {"prompt": [1, 2, 3], "echo": True, "best_of": 2}),
        ("/v1/completions", {"prompt": [[1], [2]], "logprobs": 5, "suffix": "end"}),
        ("/v1/embeddings", {"input": ["a", "b"], "dimensions": 8}),
        ("/v1/embeddings", {"input": [[1, 2]], "encoding_format": "base64"}),
        ("/v1/responses", {"input": "hi", "background": False, "stream": True}),
        ("/v1/responses", {"input": [{"role": "user", "content": "hi"}], "text": {}}),
    ],
)
def test_other_routes_take_their_own_fields(path, body):
    checked = check(ROUTES[path], {"model": "m", **body})
    assert set(checked.body) | set(checked.dropped) == {"model", *body}


def test_a_stored_background_response_is_refused():
    with pytest.raises(RequestInvalid, match="nothing is stored"):
        check(ROUTES["/v1/responses"], {"model": "m", "input": "x", "background": True})


def test_error_object_has_openai_s_four_fields():
    assert openai_error("no", type="server_error", code="c") == {
        "error": {"message": "no", "type": "server_error", "param": None, "code": "c"}
    }
