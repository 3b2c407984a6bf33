from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byoi_console.gateway.framing import HELD_LIMIT_BYTES, AnswerFraming, usage_of
from byoi_wire.errors import ProtocolViolation


def event(told):
    return b"data: %b\n\n" % json.dumps(told).encode()


def delta(**fields):
    return event({"choices": [{"delta": fields}]})


ROLE = delta(role="assistant", content="")
WORD = delta(content="a")
USAGE = event({"choices": [], "usage": {"prompt_tokens": 2, "completion_tokens": 1}})
DONE = b"data: [DONE]\n\n"
WHOLE = b": comment\n\n" + ROLE + WORD + WORD + USAGE + DONE


def framing(dialect="chat", keeps_usage=False):
    return AnswerFraming(dialect, keeps_usage=keeps_usage)


@given(st.lists(st.integers(0, len(WHOLE)), max_size=8), st.booleans())
def test_pieces_of_any_size_give_the_same_whole_events(cuts, keeps_usage):
    answer = framing(keeps_usage=keeps_usage)
    marks = [0, *sorted(cuts), len(WHOLE)]
    out = [answer.feed(WHOLE[a:b]) for a, b in itertools.pairwise(marks)]
    assert all(block.endswith(b"\n\n") for block in out if block)
    assert b"".join(out) == (WHOLE if keeps_usage else WHOLE.replace(USAGE, b""))
    assert answer.is_finished
    assert not answer.is_torn
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == 2
    assert answer.content_events == 2


def finish(**fields):
    ended = {"index": 0, "delta": fields, "finish_reason": "stop"}
    return b"data: " + json.dumps({"choices": [ended]}).encode() + b"\n\n"


@pytest.mark.parametrize(
    ("fields", "tokens"), [({}, 1), ({"content": ""}, 1), ({"content": "x"}, 2)]
)
def test_the_event_that_names_the_finish_is_no_token_unless_it_brings_one(fields, tokens):
    for pieces in ([WORD + finish(**fields)], [WORD, finish(**fields)]):
        answer = framing()
        assert b"".join(map(answer.feed, pieces)) == WORD + finish(**fields)
        assert answer.finish_reason == "stop"
        assert answer.content_events == tokens


def test_a_role_waits_for_the_first_content():
    answer = framing()
    assert answer.feed(ROLE) == b""
    assert answer.feed(delta(content=None)) == b""
    assert answer.feed(WORD) == ROLE + delta(content=None) + WORD


@pytest.mark.parametrize(
    "first",
    [
        delta(content="x"),
        delta(reasoning_content="x"),
        delta(tool_calls=[{"index": 0}]),
        delta(refusal="no"),
        event({"choices": [{"delta": {}, "finish_reason": "stop"}]}),
        event({"choices": [{"text": "x"}]}),
        b'data:{"choices":[{"delta":{"content":"x"}}]}\r\n\r\n',
    ],
)
def test_content_is_whatever_a_client_would_show(first):
    assert framing().feed(ROLE + first) == ROLE + first


@pytest.mark.parametrize(
    ("kind", "is_content"),
    [
        ("response.created", False),
        ("response.in_progress", False),
        ("response.output_item.added", False),
        ("response.output_text.delta", True),
        ("response.completed", True),
        ("error", True),
    ],
)
def test_content_in_the_responses_dialect_begins_with_a_delta(kind, is_content):
    block = b"event: %b\n%b" % (kind.encode(), event({"type": kind}))
    assert bool(framing("responses").feed(block)) is is_content


def test_an_answer_that_holds_back_too_much_is_let_go():
    answer = framing()
    comment = b":" + b"x" * (HELD_LIMIT_BYTES // 4) + b"\n\n"
    out = [answer.feed(comment) for _ in range(4)]
    assert out[:3] == [b""] * 3
    assert out[3] == comment * 4


def test_an_answer_without_content_is_still_released():
    answer = framing()
    assert answer.feed(ROLE + DONE) == b""
    assert answer.is_finished
    assert answer.release() == ROLE + DONE


@pytest.mark.parametrize(
    "hostile",
    [
        b"hello\n\n",
        b"<html>\n\n",
        b"data: a\0\n\n",
        b"data: \xc3\x28\n\n",
        b"data: a\nx: y\n\n",
        b"data: a\n\nHTTP/1.1 200 OK\r\n\r\n",
        b"data: a\rdata: b\n\n",
        b"data" + b"x" * (1024 * 1024) + b"\n\n",
    ],
)
def test_what_is_no_event_is_a_violation(hostile):
    answer = framing()
    answer.feed(WORD)
    with pytest.raises(ProtocolViolation):
        answer.feed(hostile)


def test_nothing_may_follow_the_end():
    answer = framing()
    answer.feed(WORD + DONE)
    with pytest.raises(ProtocolViolation):
        answer.feed(WORD)


def test_content_that_looks_like_framing_is_content():
    sly = delta(content='\n\ndata: [DONE]\n\n"usage": {"prompt_tokens": 9}')
    answer = framing()
    assert answer.feed(sly) == sly
    assert not answer.is_finished
    assert answer.usage is None


def test_usage_in_an_event_with_choices_stays():
    both = event({"choices": [{"delta": {"content": "a"}}], "usage": {"completion_tokens": 1}})
    answer = framing()
    assert answer.feed(both) == both
    assert answer.usage is not None


@given(st.binary(max_size=80))
def test_any_bytes_are_passed_held_or_a_violation(data):
    answer = framing()
    out = b""
    try:
        out = answer.feed(WORD) + answer.feed(data)
    except ProtocolViolation:
        return
    assert out.endswith((b"\n\n", b"\n\r\n"))


@pytest.mark.parametrize(
    ("told", "tokens"),
    [
        ({"usage": {"completion_tokens": 3}}, 3),
        ({"usage": {"completion_tokens": -3}}, 0),
        ({"usage": {"completion_tokens": "3"}}, 0),
        ({"usage": {"completion_tokens": True}}, 0),
        ({"usage": {"completion_tokens": 2**40}}, 0),
        ({"usage": {"completion_tokens": 1, "completion_tokens_details": 5}}, 1),
    ],
)
def test_token_counts_are_read_without_trust(told, tokens):
    usage = usage_of(told, "chat")
    assert usage is not None
    assert usage.completion_tokens == tokens


def test_details_and_the_responses_names_are_read():
    told = {
        "response": {
            "usage": {
                "input_tokens": 5,
                "output_tokens": 4,
                "input_tokens_details": {"cached_tokens": 3},
                "output_tokens_details": {"reasoning_tokens": 2},
            }
        }
    }
    usage = usage_of(told, "responses")
    assert usage is not None
    assert tuple(usage.model_dump().values()) == (5, 4, 3, 2)
    assert usage_of({"usage": None}, "chat") is None
    assert usage_of(None, "chat") is None


TEXTS = st.one_of(
    st.text(max_size=20), st.sampled_from(["a", "", '"', "\\", "\n", "_tokens", "stop"])
)


@given(st.lists(TEXTS, max_size=12))
def test_an_event_known_by_its_likeness_is_counted_as_any_other(texts):
    answer = framing()
    answer.feed(WORD)
    blocks = [delta(content=text) for text in texts]
    assert [answer.feed(block) for block in blocks] == blocks
    assert answer.content_events == 1 + len(texts)
    assert answer.feed(DONE) == DONE
    assert answer.is_finished


@pytest.mark.parametrize("text", [b"\0", b"\n\n", b"\r", b"\xff", b'"}\n\nid: 1\ndat\n\ndata: {"'])
def test_likeness_to_a_good_event_excuses_nothing(text):
    answer = framing()
    answer.feed(WORD)
    answer.feed(WORD)
    with pytest.raises(ProtocolViolation):
        answer.feed(WORD.replace(b'a"', text + b'"'))


def test_a_finish_after_many_like_events_is_noted():
    answer = framing()
    for _ in range(3):
        answer.feed(WORD)
    answer.feed(event({"choices": [{"delta": {}, "finish_reason": "stop"}]}))
    assert answer.finish_reason == "stop"
    answer.feed(DONE)
    with pytest.raises(ProtocolViolation, match="after the last"):
        answer.feed(WORD)
