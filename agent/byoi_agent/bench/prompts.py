"""Prompts that no cache has seen: random words, so that none begins as another did; pure."""

from __future__ import annotations

import json
from random import Random
from typing import Final

_TEXT: Final = (
    "air apple arm baby ball bank bed bell bird blue boat bone book box boy bread bridge brother "
    "cake car card cat chair city clock cloud coat cold corn cup day dog door dream dress ear "
    "egg eye face farm fire fish floor flower foot forest friend fruit garden girl glass gold "
    "grass green hair hand hat head heart hill home horse house ice iron island key king lake "
    "lamp leaf letter light line lion map milk moon mother mountain mouth music name neck night "
    "north nose ocean orange paper park pen picture plant queen rain red ring river road rock "
    "room rose salt sand school sea seed ship shoe silver sister sky snow song south star stone "
    "street sugar summer sun table tea tree wall water west wheel wind window winter wood yellow"
)
"""Each word is one token, or hardly more, for the usual tokenizers."""

_WORDS: Final = _TEXT.split()

_ORDER: Final = "\nGo on with this list. Write one word after another and never stop."


def prompt(seed: int, words: int) -> str:
    """About so many words, drawn by `seed`: another seed differs from the first word on."""
    draw = Random(seed)  # noqa: S311 nobody is to be kept from guessing it
    return " ".join(draw.choices(_WORDS, k=words)) + _ORDER


def body(model: str, text: str, output_tokens: int, *, ignores_end: bool) -> bytes:
    """A streamed chat request for just so many tokens.

    `ignores_end` asks the engine (vLLM, llama.cpp and SGLang know the field) to go on where the
    model would stop, so that all answers are equally long.
    """
    request: dict[str, object] = {
        "model": model,
        "messages": [{"role": "user", "content": text}],
        "max_tokens": output_tokens,
        "temperature": 0.0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if ignores_end:
        request["ignore_eos"] = True
    return json.dumps(request).encode()
