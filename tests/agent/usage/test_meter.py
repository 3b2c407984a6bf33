from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byoi_agent.usage import meter as meter_module
from byoi_agent.usage.meter import StreamMeter
from byoi_wire.http.sse import EventSplitter
from byoi_wire.usage import Usage

DONE = b"data: [DONE]\n\n"
USAGE = Usage(prompt_tokens=9, completion_tokens=3, cached_tokens=4)


def event(value, *, name=None, compact=True, end=b"\n\n") -> bytes:
    separators = (",", ":") if compact else (", ", ": ")
    data = b"data: " + json.dumps(value, separators=separators).encode() + end
    return data if name is None else b"event: " + name.encode() + end[: len(end) // 2] + data


def chunk(delta, *, reason=None, index=0, **style) -> bytes:
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}
    return event({"id": "c", "object": "chat.completion.chunk", "choices": [choice]}, **style)


def usage_event(**style) -> bytes:
    usage = {
        "prompt_tokens": 9,
        "completion_tokens": 3,
        "prompt_tokens_details": {"cached_tokens": 4},
    }
    return event({"id": "c", "choices": [], "usage": usage}, **style)


def words(*pieces, **style) -> list[bytes]:
    return [chunk({"content": piece}, **style) for piece in pieces]


def ending(**style) -> list[bytes]:
    return [chunk({}, reason="stop", **style), usage_event(**style), DONE]


def run(meter: StreamMeter, blocks) -> bytes:
    return b"".join(meter.feed(block, float(now)) for now, block in enumerate(blocks))


def test_plain_events_go_on_as_the_very_same_object():
    meter = StreamMeter("chat")
    block = chunk({"content": "Hello"})
    assert meter.feed(block, 3.0) is block
    assert (meter.content_events, meter.first_content_at, meter.text) == (1, 3.0, "Hello")


def test_events_that_differ_in_their_text_only_are_told_apart_all_the_same():
    meter = StreamMeter("chat")
    blocks = words("a", 'b"', "c", "", "d\\", "e\n", "f", "f")
    for block in blocks:
        assert meter.feed(block, 1.0) is block
    assert meter.text == 'ab"cd\\e\nff'
    assert meter.content_events == 7
    sly = words('x"}}],"error":{"code":500},"y":[{"z":{"z":"')[0].replace(b'\\"', b'"')
    assert meter.feed(sly, 1.0) == b""
    assert meter.failure


def test_two_texts_in_one_event_are_both_kept_each_time():
    meter = StreamMeter("chat")
    run(meter, [chunk({"content": "a", "reasoning_content": "b"})] * 3)
    assert meter.text == "ababab"
    assert meter.content_events == 3


@pytest.mark.parametrize("compact", [True, False])
def test_an_answer_to_a_client_that_asked_for_usage(compact):
    style = {"compact": compact}
    body = [chunk({"role": "assistant", "content": ""}, **style), *words("Hel", "lo", **style)]
    meter = StreamMeter("chat")
    assert run(meter, [*body, *ending(**style)]) == b"".join([*body, ending(**style)[0]])
    assert meter.held == usage_event(**style) + DONE
    assert meter.is_over
    assert meter.is_complete
    assert (meter.usage, meter.finish_reason, meter.failure) == (USAGE, "stop", None)
    assert (meter.content_events, meter.first_content_at, meter.text) == (2, 1.0, "Hello")


def test_usage_that_the_client_did_not_ask_for_is_taken_out():
    meter = StreamMeter("chat", hides_usage=True)
    passed = run(meter, [*words("Hi"), *ending()])
    assert passed == b"".join([*words("Hi"), ending()[0]])
    assert meter.held == DONE
    assert meter.usage == USAGE


def test_usage_beside_the_last_choice_stays_in_its_event():
    last = event({"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}],
                  "usage": {"prompt_tokens": 9, "completion_tokens": 3,
                            "prompt_tokens_details": {"cached_tokens": 4}}})  # fmt: skip
    meter = StreamMeter("chat", hides_usage=True)
    assert run(meter, [*words("Hi"), last, DONE]) == words("Hi")[0] + last
    assert (meter.usage, meter.finish_reason, meter.is_complete) == (USAGE, "length", True)


@pytest.mark.parametrize(
    "blocks",
    [
        [*words("a"), DONE],
        [*words("a"), chunk({}, reason="stop")],
        [*words("a"), chunk({}, reason="stop"), usage_event()],
        [*words("a"), event({"error": {"message": "died", "code": 500}}), DONE],
        [*words("a"), chunk({}, reason="stop"), event({"error": "died"}), DONE],
        [*words("a"), b"data: {broken\n\n", *ending()],
        [*words("a"), b"data: 7\n\n", *ending()],
        [*words("a"), b'error: {"code":500}\n\n', *ending()],
        [*words("a"), event({"choices": None}), *ending()],
        [*words("a"), event({"choices": [7]}), *ending()],
        [*words("a"), event({"choices": [{"index": []}]}), *ending()],
        [*words("a"), event({"choices": [{"index": -1}]}), *ending()],
        [DONE],
        [],
    ],
)
def test_what_is_not_complete(blocks):
    meter = StreamMeter("chat")
    run(meter, blocks)
    assert not meter.is_complete


def test_nothing_goes_on_after_an_error_and_the_error_itself_does_not():
    meter = StreamMeter("chat")
    blocks = [*words("a"), event({"error": {"message": "See stack trace"}}), *words("b"), DONE]
    assert run(meter, blocks) == words("a")[0]
    assert meter.held == b""
    assert "See stack trace" in meter.failure


def test_nothing_goes_on_after_the_end():
    meter = StreamMeter("chat")
    assert run(meter, [*ending(), *words("more"), DONE]) == ending()[0]
    assert meter.held == usage_event() + DONE


def test_the_usage_event_waits_for_the_end_whatever_comes_in_between():
    meter = StreamMeter("chat")
    assert run(meter, [*ending()[:2], b": bye\n\n", DONE]) == ending()[0] + b": bye\n\n"
    assert meter.held == usage_event() + DONE


def test_of_several_usage_events_the_last_goes_on_and_all_are_counted():
    meter = StreamMeter("chat", choices=2)
    blocks = [
        *words("a", index=0),
        chunk({}, reason="stop", index=0),
        usage_event(),
        *words("b", index=1),
        chunk({}, reason="stop", index=1),
        usage_event(),
        DONE,
    ]
    assert run(meter, blocks) == b"".join([*blocks[:2], *blocks[3:5]])
    assert meter.held == usage_event() + DONE
    assert meter.usage == Usage(prompt_tokens=9, completion_tokens=6, cached_tokens=4)
    assert meter.is_complete


def test_a_null_error_and_a_null_usage_are_no_news():
    meter = StreamMeter("chat")
    odd = event({"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}],
                 "error": None, "usage": None})  # fmt: skip
    assert run(meter, [odd, b": comment\r\n\r\n", *ending()]).startswith(odd + b": comment")
    assert meter.is_complete
    assert meter.text == "a"


def test_each_choice_must_finish():
    meter = StreamMeter("chat", choices=2)
    blocks = [
        *words("a", index=0),
        *words("b", index=1),
        chunk({}, reason="stop", index=0),
        DONE,
    ]
    run(meter, blocks)
    assert not meter.is_complete
    meter = StreamMeter("chat", choices=2)
    run(meter, [*blocks[:3], chunk({}, reason="length", index=1), DONE])
    assert meter.is_complete
    assert meter.finish_reason == "stop"


@pytest.mark.parametrize(
    "delta",
    [
        {"content": 'x"y\\'},
        {"reasoning_content": 'x"y\\'},
        {"reasoning": 'x"y\\'},
        {"tool_calls": [{"index": 0, "function": {"arguments": 'x"y\\'}}]},
        {"content": 'x"', "reasoning_content": "y\\"},
        {"tool_calls": [{"function": {"arguments": 'x"'}}, {"function": {"arguments": "y\\"}}]},
    ],
)
@pytest.mark.parametrize("compact", [True, False])
def test_every_kind_of_generated_text_is_kept(delta, compact):
    meter = StreamMeter("chat")
    block = chunk(delta, compact=compact)
    assert meter.feed(block, 1.0) is block
    assert (meter.text, meter.content_events) == ('x"y\\', 1)


@pytest.mark.parametrize(
    "content",
    ['"error":', '"finish_reason":"stop"', "data: [DONE]\n\n", '"usage":{', "error", ": "],
)
def test_text_that_looks_like_an_ending_is_only_text(content):
    meter = StreamMeter("chat")
    block = chunk({"content": content})
    assert meter.feed(block, 1.0) is block
    assert meter.failure is None
    assert meter.text == content


def test_two_events_in_one_line_ending_style_do_not_hide_an_error():
    meter = StreamMeter("chat")
    sly = chunk({"content": "a"}).removesuffix(b"\n\n") + b"\r\rdata: [DONE]\n\n"
    assert meter.feed(sly, 1.0) == b""
    assert meter.failure


def test_texts_of_several_choices_are_kept_apart():
    meter = StreamMeter("chat", choices=2)
    run(meter, [*words("a", index=0), *words("x", index=1), *words("b", index=0)])
    assert meter.text == "abx"
    assert meter.content_events == 3


def test_completions():
    meter = StreamMeter("completion")

    def piece(text, reason=None):
        return event({"choices": [{"index": 0, "text": text, "finish_reason": reason}]})

    run(meter, [piece("ab"), piece("c"), piece("d", "length"), usage_event(), DONE])
    assert meter.is_complete
    assert (meter.text, meter.content_events, meter.finish_reason) == ("abcd", 3, "length")


def response_event(kind, **fields):
    return event({"type": kind, **fields}, name=kind)


def response_end(kind="response.completed"):
    usage = {"input_tokens": 9, "output_tokens": 3, "input_tokens_details": {"cached_tokens": 4}}
    return response_event(kind, response={"status": kind.partition(".")[2], "usage": usage})


@pytest.mark.parametrize("last", [b"", DONE])
def test_responses_end_with_their_own_event(last):
    first = response_event("response.created", response={"usage": None})
    deltas = [
        response_event("response.output_text.delta", delta="He.delta"),
        response_event("response.reasoning_text.delta", delta="y"),
        response_event("response.function_call_arguments.delta", delta="{}"),
        event({"type": "response.output_text.delta", "delta": "!"}),
    ]
    done = response_event("response.output_text.done", text="He.delta")
    meter = StreamMeter("responses")
    passed = run(meter, [first, *deltas, done, response_end(), *([last] if last else [])])
    assert passed == b"".join([first, *deltas, done])
    assert meter.held == response_end() + last
    assert meter.is_complete
    assert meter.is_over is bool(last)
    assert (meter.usage, meter.finish_reason) == (USAGE, "completed")
    assert (meter.text, meter.content_events) == ("He.deltay{}!", 4)


def test_odd_events_of_a_response_are_no_text_and_no_usage():
    meter = StreamMeter("responses")
    odd = response_event("response.odd.delta", delta={"x": 1}) + event({"type": "x.delta"})
    assert run(meter, [odd, event({"type": "response.completed", "response": None})]) == odd
    assert (meter.content_events, meter.usage, meter.is_complete) == (0, None, True)


def test_an_incomplete_response_is_an_end_too():
    meter = StreamMeter("responses")
    run(meter, [response_end("response.incomplete")])
    assert meter.is_complete
    assert meter.finish_reason == "incomplete"


@pytest.mark.parametrize(
    "block",
    [
        response_event("response.failed", response={"error": {"message": "died"}}),
        response_event("error", message="died"),
        event({"type": "response.output_text.delta", "error": {"message": "died"}}),
    ],
)
def test_a_failed_response_is_none(block):
    meter = StreamMeter("responses")
    assert run(meter, [block, response_end()]) == b""
    assert not meter.is_complete
    assert "died" in meter.failure


def test_text_beyond_its_limit_is_not_kept(monkeypatch):
    monkeypatch.setattr(meter_module, "TEXT_LIMIT_BYTES", 10)
    meter = StreamMeter("chat")
    run(meter, words(*["abcd"] * 6))
    assert meter.text is None
    assert len(meter._text) <= 14
    assert meter.content_events == 6


def test_text_that_is_no_json_is_not_kept():
    meter = StreamMeter("chat")
    meter.feed(b'data: {"choices":[{"delta":{"content":"\\q"},"finish_reason":null}]}\n\n', 1.0)
    meter.feed(b'data: {"choices":[{"delta":{"content":"torn,"finish_reason":null}]\n\n', 1.0)
    assert meter.text is None
    meter = StreamMeter("chat")
    meter.feed(b'data: {"finish_reason":null,"delta":{"content":"torn\n\n', 1.0)
    assert meter.text == ""


def test_half_a_surrogate_pair_becomes_text_that_can_be_sent():
    meter = StreamMeter("chat")
    meter.feed(chunk({"content": "\ud83d"}), 1.0)
    meter.feed(chunk({"content": "\ude00"}), 1.0)
    meter.feed(chunk({"content": "\ud83d"}), 1.0)
    assert meter.text == "\U0001f600?"


texts = st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from(
    ['"', "\\", '\\"', '": ', '"error":', "\n\n", '"finish_reason":null', "data: [DONE]"]
)
deltas = st.one_of(
    texts.map(lambda text: {"content": text}),
    texts.map(lambda text: {"reasoning_content": text}),
    texts.map(lambda text: {"tool_calls": [{"index": 0, "function": {"arguments": text}}]}),
    st.just({"role": "assistant", "content": ""}),
)


@given(
    deltas=st.lists(deltas, max_size=8),
    compact=st.booleans(),
    end=st.sampled_from([b"\n\n", b"\r\n\r\n"]),
    hides_usage=st.booleans(),
    choices=st.sampled_from([1, 2]),
    has_error=st.booleans(),
    cuts=st.lists(st.integers(0, 2000), max_size=12),
)
def test_any_split_of_the_bytes_gives_the_same(
    deltas, compact, end, hides_usage, choices, has_error, cuts
):
    style = {"compact": compact, "end": end}
    blocks = [chunk(delta, **style) for delta in deltas]
    if has_error:
        blocks.append(event({"error": {"message": "died"}}, **style))
    blocks += [chunk({}, reason="stop", **style), usage_event(**style), DONE]
    whole = b"".join(blocks)
    edges = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    pieces = [whole[a:b] for a, b in itertools.pairwise(edges)]

    def outcome(pieces):
        meter = StreamMeter("chat", hides_usage=hides_usage, choices=choices)
        splitter = EventSplitter()
        passed = b"".join(
            meter.feed(block, 1.0) for piece in pieces if (block := splitter.feed(piece))
        )
        facts = (meter.usage, meter.finish_reason, meter.failure, meter.is_complete)
        return passed, meter.held, meter.text, meter.content_events, facts

    expected = outcome(blocks)
    assert outcome(pieces) == expected
    if not has_error:
        hidden = usage_event(**style) if hides_usage else b""
        assert expected[0] + expected[1] == whole.replace(hidden, b"")
        assert expected[4][3]
    generated = [list(delta.values())[-1] for delta in deltas]
    generated = [
        piece if isinstance(piece, str) else piece[0]["function"]["arguments"]
        for piece in generated
    ]
    assert expected[2] == "".join(generated)
    assert expected[3] == sum(bool(piece) for piece in generated)


def test_usage_told_twice_of_one_answer_is_counted_and_passed_once():
    meter = StreamMeter("chat")
    body = [*words("a", "b"), chunk({}, reason="stop")]
    assert run(meter, [*body, usage_event(), usage_event(), DONE]) == b"".join(body)
    assert meter.usage == USAGE
    assert meter.held == usage_event() + DONE


def test_each_choices_own_usage_is_added_up():
    meter = StreamMeter("chat", choices=2)
    run(meter, [chunk({"content": "a"}), usage_event(), chunk({"content": "b"}, index=1)])
    run(meter, [usage_event(), chunk({}, reason="stop"), chunk({}, reason="stop", index=1), DONE])
    assert meter.usage == USAGE.model_copy(update={"completion_tokens": 6})
