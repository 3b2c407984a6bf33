from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byoi_agent.engine.view import EngineView, ServedModel
from byoi_agent.errors import RequestRefused
from byoi_agent.serving.request import model_for, prepare
from byoi_wire.messages import OpenHead
from byoi_wire.requests import BODY_LIMIT_BYTES, EXTRA_FIELDS, ROUTES, RequestInvalid

CHAT = "/v1/chat/completions"
SMALL = ServedModel("small", "small", tuple(ROUTES))
ALIASED = ServedModel("alias", "real-name", (CHAT,))


def head(**changes):
    facts = {"request_id": "r", "attempt": 1, "ticket": "t", "tenant": "acme", "path": CHAT,
             "model": "small", "deadline_seconds": 60, "body_bytes": 10}  # fmt: skip
    return OpenHead(**{**facts, **changes})


def prepared(body, *, model=SMALL, extra=frozenset(), **changes):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return prepare(head(**changes), raw, model, extra_fields=extra, salt="salt-of-acme")


def chat(**fields):
    return {"model": "small", "messages": [{"role": "user", "content": "hi"}], **fields}


def view(**changes):
    facts = {"state": "ready", "kind": "fake", "models": (SMALL, ALIASED), "slots": 1}
    return EngineView(**{**facts, **changes})


def test_the_model_that_a_head_names():
    assert model_for(head(), view()) is SMALL
    assert model_for(head(model="alias"), view()) is ALIASED


@pytest.mark.parametrize(
    ("changes", "engine", "reason"),
    [
        ({"path": "/metrics"}, view(), "no_such_route"),
        ({"path": "/v1/chat/completions/../../tokenize"}, view(), "no_such_route"),
        ({"path": "/v1/chat/completions?x=1"}, view(), "no_such_route"),
        ({"websocket": True}, view(), "no_such_route"),
        ({"body_bytes": BODY_LIMIT_BYTES + 1}, view(), "body_too_large"),
        ({"ticket": "t" * 4097}, view(), "head_too_large"),
        ({"request_id": "r" * 257}, view(), "head_too_large"),
        ({}, None, "engine_not_ready"),
        ({}, view(state="starting"), "engine_not_ready"),
        ({}, view(state="draining"), "engine_not_ready"),
        ({"model": "other"}, view(), "no_such_model"),
        ({"model": "alias", "path": "/v1/embeddings"}, view(), "no_such_model"),
    ],
)
def test_what_is_refused_by_its_head(changes, engine, reason):
    with pytest.raises(RequestRefused, match=reason):
        model_for(head(**changes), engine)


def test_limits_of_the_head_are_within():
    at_limit = head(body_bytes=BODY_LIMIT_BYTES, ticket="t" * 4096, request_id="r" * 256)
    assert model_for(at_limit, view()) is SMALL


@pytest.mark.parametrize(
    "body",
    [
        b'{ "model" : "small",  "messages":[{"role":"user","content":"\\u00e9"}] }',
        chat(temperature=0.5, stop=None),
        chat(stream=True, stream_options={"include_usage": True}),
        chat(stream=False, stream_options=None),
    ],
)
def test_what_need_not_change_stays_byte_for_byte(body):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    assert prepared(raw).body == raw


@pytest.mark.parametrize("options", [{}, {"stream_options": {"include_usage": False}},
                                     {"stream_options": None}])  # fmt: skip
def test_usage_is_asked_for_where_the_client_did_not(options):
    request = prepared(chat(stream=True, **options))
    assert json.loads(request.body)["stream_options"] == {"include_usage": True}
    assert request.hides_usage
    assert request.streams


def test_usage_that_the_client_asked_for_is_not_hidden():
    request = prepared(chat(stream=True, stream_options={"include_usage": True}))
    assert not request.hides_usage


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/embeddings"])
def test_other_routes_have_no_such_option(path):
    body = {"model": "small", "input": "hi"}
    if path == "/v1/responses":
        body["stream"] = True
    request = prepared(body, path=path)
    assert json.loads(request.body) == body
    assert not request.hides_usage
    assert request.streams is (path == "/v1/responses")


def test_an_alias_is_replaced_by_the_engines_own_name():
    request = prepared(chat(model="alias"), model=ALIASED)
    assert json.loads(request.body) == chat(model="real-name")


def test_dropped_fields_are_named_and_do_not_go_on():
    request = prepared(chat(user="me", metadata={"a": "b"}))
    assert request.dropped == ("user", "metadata")
    assert json.loads(request.body) == chat()


def test_a_salt_only_where_the_kind_takes_one_and_never_the_clients():
    assert json.loads(prepared(chat(), extra=frozenset({"cache_salt"})).body)["cache_salt"] == (
        "salt-of-acme"
    )
    assert "cache_salt" not in json.loads(prepared(chat()).body)
    with pytest.raises(RequestInvalid, match="cache_salt"):
        prepared(chat(cache_salt="mine"), extra=frozenset({"cache_salt"}))


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[]", b"\xff", b'{"model":"small","messages":NaN}', b"[" * 100_000],
)
def test_what_is_no_json_object_is_refused(raw):
    with pytest.raises(RequestInvalid):
        prepared(raw)


@pytest.mark.parametrize(
    "name",
    ["chat_template", "guided_json", "logits_processors", "prompt_embeds", "priority",
     "n_discard", "kv_transfer_params", "vllm_xargs", "top_k", "continuous_usage_stats"],
)  # fmt: skip
def test_fields_that_steer_an_engine_are_refused_by_name(name):
    with pytest.raises(RequestInvalid, match=name):
        prepared(chat(**{name: 1}))


def test_a_field_named_twice_reaches_the_engine_as_it_was_checked():
    raw = b'{"model":"small","n":1000,"n":1,"messages":[{"role":"user","content":"x"}]}'
    assert prepared(raw).body.count(b'"n"') == 1
    raw = b'{"model":"small","messages":[{"role":"system","role":"user","content":"x"}]}'
    assert prepared(raw).body.count(b'"role"') == 1


@pytest.mark.parametrize(
    ("path", "body", "choices"),
    [
        (CHAT, chat(), 1),
        (CHAT, chat(n=3), 3),
        ("/v1/completions", {"model": "small", "prompt": "a"}, 1),
        ("/v1/completions", {"model": "small", "prompt": ["a", "b"], "n": 2}, 4),
        ("/v1/completions", {"model": "small", "prompt": [1, 2, 3]}, 1),
        ("/v1/completions", {"model": "small", "prompt": [[1, 2], [3]]}, 2),
        ("/v1/embeddings", {"model": "small", "input": ["a", "b"]}, 1),
    ],
)
def test_how_many_choices_are_asked_for(path, body, choices):
    assert prepared(body, path=path).choices == choices


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
names = st.sampled_from([*ROUTES[CHAT].fields, *EXTRA_FIELDS, "cache_salt", "tools"]) | st.text(
    max_size=6
)


@given(st.dictionaries(names, json_values, max_size=6), st.booleans())
def test_whatever_comes_only_listed_fields_reach_an_engine(fields, is_complete):
    body = {**fields, **chat()} if is_complete else fields
    extra = frozenset({"top_k", "cache_salt"})
    try:
        request = prepared(body, extra=extra)
    except RequestInvalid:
        return
    passed = {name for name, rule in ROUTES[CHAT].fields.items() if rule.passed}
    sent = json.loads(request.body)
    assert set(sent) <= passed | extra
    assert sent["cache_salt"] == "salt-of-acme"
    assert sent["model"] == "small"
