from __future__ import annotations

import pytest

from byoi_wire import request_content as content
from byoi_wire.request_rules import RequestInvalid

PIXEL = "data:image/png;base64,iVBORw0KGgo="


def user(*parts):
    return [{"role": "user", "content": list(parts)}]


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "https://example.com/a.png",
        "HTTP://10.0.0.1/",
        "file:///etc/passwd",
        "FILE:///etc/passwd",
        "//10.0.0.1/x",
        "\\\\host\\share",
        "http:\\\\10.0.0.1\\",
        "http://user@10.0.0.1/",
        "http://[::ffff:10.0.0.1]/",
        "http://2130706433/",
        " data:image/png;base64,AA==",
        "DATA:image/png;base64,AA==",
        "ftp://x",
        "gopher://x",
        "jar:file:x",
        "blob:x",
        "javascript:1",
        "/etc/passwd",
        "",
        "\tdata:,",
        "s3://bucket/key",
        "data",
    ],
)
def test_only_data_urls_pass_as_media(url):
    for part in (
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "image_url", "image_url": url},
        {"type": "file", "file": {"file_data": url}},
    ):
        with pytest.raises(RequestInvalid) as refusal:
            content.messages(user(part), "messages")
        assert refusal.value.code == "invalid_media"
    for part in (
        {"type": "input_image", "image_url": url},
        {"type": "input_file", "file_data": url},
    ):
        with pytest.raises(RequestInvalid):
            content.response_input([{"role": "user", "content": [part]}], "input")


@pytest.mark.parametrize(
    "part",
    [
        {"image_url": "http://10.0.0.1/"},
        {"type": "image_embeds", "image_embeds": "gASV"},
        {"type": "video_url", "video_url": {"url": "http://x"}},
        {"type": "audio_url", "audio_url": {"url": "http://x"}},
        {"type": "text", "text": "x", "image_url": "http://x"},
        {"type": "text"},
        {"type": ["text"], "text": "x"},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "image_url", "image_url": {"url": PIXEL, "uuid": "x"}},
        "text",
        None,
    ],
)
def test_parts_beyond_the_list_are_refused(part):
    with pytest.raises(RequestInvalid):
        content.messages(user(part), "messages")


def test_media_that_comes_along_passes():
    content.messages(
        user(
            {"type": "text", "text": "what is it"},
            {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
            {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:,x"}},
        ),
        "messages",
    )


def test_an_assistant_message_may_be_sent_back_as_it_came():
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    content.messages(
        [
            {"role": "assistant", "content": None, "tool_calls": [call], "refusal": None},
            {"role": "tool", "tool_call_id": "c", "content": "3"},
            {"role": "assistant", "content": "x", "reasoning_content": "y", "annotations": []},
        ],
        "messages",
    )


@pytest.mark.parametrize(
    "message",
    [
        {"content": "x"},
        {"role": "admin", "content": "x"},
        {"role": "user", "content": 5},
        {"role": "user", "content": "x", "chat_template": "y"},
    ],
)
def test_malformed_messages_are_refused_with_their_place(message):
    with pytest.raises(RequestInvalid) as refusal:
        content.messages([message], "messages")
    assert refusal.value.param is not None
    assert refusal.value.param.startswith("messages[0].")


def test_4096_messages_pass_and_one_more_does_not():
    message = {"role": "user", "content": "x"}
    content.messages([message] * 4096, "messages")
    with pytest.raises(RequestInvalid, match="4096"):
        content.messages([message] * 4097, "messages")


@pytest.mark.parametrize("item", [{"type": "item_reference", "id": "x"}, {"type": "mcp_call"}])
def test_response_items_that_need_a_store_are_refused(item):
    with pytest.raises(RequestInvalid):
        content.response_input([item], "input")


def test_response_items_of_a_conversation_pass():
    content.response_input(
        [
            {"role": "user", "content": [{"type": "input_text", "text": "x"}]},
            {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "s"}]},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "3"},
        ],
        "input",
    )


@pytest.mark.parametrize("value", [[], [True], [-1], [[]], [[1], 5], 5, ["x"] * 65])
def test_prompts_of_other_shapes_are_refused(value):
    with pytest.raises(RequestInvalid):
        content.prompt(value, "prompt")


def test_2048_inputs_pass_and_one_more_does_not():
    content.embedding_input(["x"] * 2048, "input")
    with pytest.raises(RequestInvalid):
        content.embedding_input(["x"] * 2049, "input")
