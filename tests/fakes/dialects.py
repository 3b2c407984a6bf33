"""The stand-in engine's answers in OpenAI's forms: chat, completions, responses, whole or streamed.

A streamed form is a list of steps: `(event, tokens)`, the SSE event's data and how many tokens of
the answer it carries.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import answers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from answers import Answer

Step = tuple[dict[str, Any] | str, int]
CREATED = 1_700_000_000


def chat(request: dict[str, Any], answer: Answer, name: str) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": answer.text, "refusal": None}
    if answer.tool:
        message |= {"content": None, "tool_calls": _calls(answer, name, answer.text)}
    choice: dict[str, Any] = {"message": message, "finish_reason": answer.finish_reason}
    choice["logprobs"] = _logprobs(request, answer.pieces)
    choices = [{"index": index} | choice for index in range(request.get("n") or 1)]
    return _head(request, name, "chat.completion") | {
        "choices": choices,
        "usage": _usage(request, answer),
    }


def chat_steps(request: dict[str, Any], answer: Answer, name: str) -> Iterator[Step]:
    head = _head(request, name, "chat.completion.chunk")

    def chunk(index: int, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        return head | {"choices": [{"index": index, "delta": delta, "finish_reason": finish}]}

    choices = range(request.get("n") or 1)
    for index in choices:
        delta: dict[str, Any] = {"role": "assistant", "content": None if answer.tool else ""}
        if answer.tool:
            calls = _calls(answer, name, "")
            delta["tool_calls"] = [{"index": at} | call for at, call in enumerate(calls)]
        yield chunk(index, delta), 0
    for piece, index in itertools.product(answer.pieces, choices):
        if answer.tool:
            for at, _ in enumerate(answer.tools):
                part = {"index": at, "function": {"arguments": piece}}
                yield chunk(index, {"tool_calls": [part]}), 1
        else:
            event = chunk(index, {"content": piece})
            if (logprobs := _logprobs(request, (piece,))) is not None:
                event["choices"][0]["logprobs"] = logprobs
            yield event, 1
    for index in choices:
        yield chunk(index, {}, answer.finish_reason), 0
    if (request.get("stream_options") or {}).get("include_usage"):
        yield head | {"choices": [], "usage": _usage(request, answer)}, 0
    yield "[DONE]", 0


def completion(request: dict[str, Any], answer: Answer, name: str) -> dict[str, Any]:
    choice = {"text": answer.text, "finish_reason": answer.finish_reason, "logprobs": None}
    return _head(request, name, "text_completion") | {
        "choices": [{"index": index} | choice for index in range(request.get("n") or 1)],
        "usage": _usage(request, answer),
    }


def completion_steps(request: dict[str, Any], answer: Answer, name: str) -> Iterator[Step]:
    head = _head(request, name, "text_completion")
    choices = range(request.get("n") or 1)
    for piece, index in itertools.product(answer.pieces, choices):
        choice = {"index": index, "text": piece, "logprobs": None, "finish_reason": None}
        yield head | {"choices": [choice]}, 1
    for index in choices:
        choice = {"index": index, "text": "", "finish_reason": answer.finish_reason}
        yield head | {"choices": [choice | {"logprobs": None}]}, 0
    if (request.get("stream_options") or {}).get("include_usage"):
        yield head | {"choices": [], "usage": _usage(request, answer)}, 0
    yield "[DONE]", 0


def response(request: dict[str, Any], answer: Answer, name: str) -> dict[str, Any]:
    return _response(request, answer, name, "completed", [_item(answer, name, "completed")])


def response_steps(request: dict[str, Any], answer: Answer, name: str) -> Iterator[Step]:
    numbers = itertools.count()

    def event(kind: str, **facts: Any) -> dict[str, Any]:
        return {"type": kind, "sequence_number": next(numbers)} | facts

    item = _item(answer, name, "completed")
    started = _response(request, answer, name, "in_progress", [])
    for kind in ("response.created", "response.in_progress"):
        yield event(kind, response=started), 0
    empty = dict(item, status="in_progress")
    empty |= {"arguments": ""} if answer.tool else {"content": []}
    place = {"output_index": 0, "item_id": item["id"]}
    yield event("response.output_item.added", output_index=0, item=empty), 0
    if answer.tool:
        kind, whole = "response.function_call_arguments", {"arguments": answer.text}
    else:
        kind, whole = "response.output_text", {"text": answer.text, "logprobs": []}
        place["content_index"] = 0
        part = {"type": "output_text", "text": "", "annotations": []}
        yield event("response.content_part.added", part=part, **place), 0
    for piece in answer.pieces:
        more = {} if answer.tool else {"logprobs": []}
        yield event(f"{kind}.delta", delta=piece, **place, **more), 1
    yield event(f"{kind}.done", **place, **whole), 0
    if not answer.tool:
        yield event("response.content_part.done", part=item["content"][0], **place), 0
    yield event("response.output_item.done", output_index=0, item=item), 0
    yield event("response.completed", response=response(request, answer, name)), 0


def _head(request: dict[str, Any], name: str, kind: str) -> dict[str, Any]:
    prefix = "cmpl" if kind == "text_completion" else "chatcmpl"
    return {
        "id": f"{prefix}-{name}",
        "object": kind,
        "created": CREATED,
        "model": request["model"],
        "system_fingerprint": "fp_stand_in",
    }


def _usage(request: dict[str, Any], answer: Answer) -> dict[str, Any]:
    return answer.usage(answer.tokens * (request.get("n") or 1))


def _calls(answer: Answer, name: str, arguments: str) -> list[dict[str, Any]]:
    return [
        {
            "id": f"call_{name}_{at}",
            "type": "function",
            "function": {"name": tool, "arguments": arguments},
        }
        for at, tool in enumerate(answer.tools)
    ]


def _logprobs(request: dict[str, Any], pieces: tuple[str, ...]) -> dict[str, Any] | None:
    if not request.get("logprobs"):
        return None
    return answers.logprobs(pieces, request.get("top_logprobs") or 0)


def _item(answer: Answer, name: str, status: str) -> dict[str, Any]:
    if answer.tool:
        return {
            "id": f"fc_{name}",
            "type": "function_call",
            "call_id": f"call_{name}",
            "name": answer.tool,
            "arguments": answer.text,
            "status": status,
        }
    part = {"type": "output_text", "text": answer.text, "annotations": []}
    return {
        "id": f"msg_{name}",
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": [part],
    }


def _response(
    request: dict[str, Any], answer: Answer, name: str, status: str, output: list[dict[str, Any]]
) -> dict[str, Any]:
    usage = None
    if status == "completed":
        usage = {
            "input_tokens": answer.prompt_tokens,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": len(answer.pieces),
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": answer.prompt_tokens + len(answer.pieces),
        }
    return {
        "id": f"resp_{name}",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "model": request["model"],
        "output": output,
        "parallel_tool_calls": True,
        "tool_choice": request.get("tool_choice", "auto"),
        "tools": request.get("tools", []),
        "error": None,
        "incomplete_details": None,
        "instructions": request.get("instructions"),
        "metadata": request.get("metadata") or {},
        "temperature": 1.0,
        "top_p": 1.0,
        "usage": usage,
    }
