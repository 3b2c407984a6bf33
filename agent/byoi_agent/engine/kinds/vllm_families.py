"""What vLLM must be told of a model's family: how it writes tool calls and its reasoning.

A parser that does not fit turns answers into nonsense, so only families are listed whose form is
known; of others, tools are not offered. Names as `vllm serve --help` of 0.32.0 has them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Parsers:
    """vLLM's names of them, None where it needs none or none is known."""

    tools: str | None = None
    reasoning: str | None = None


# By the model's name: among models of one architecture, which form it was trained to write.
_BY_NAME: Final = (
    (re.compile(r"qwen3-coder"), Parsers("qwen3_coder")),
    (re.compile(r"qwen3.*thinking"), Parsers("hermes", "qwen3")),
    (re.compile(r"qwen3.*(instruct|2507$)"), Parsers("hermes")),
    (re.compile(r"deepseek-r1-distill"), Parsers(None, "deepseek_r1")),
    (re.compile(r"deepseek-r1"), Parsers("deepseek_v3", "deepseek_r1")),
    (re.compile(r"deepseek-v3\.2"), Parsers()),  # writes another form, by a tokenizer of its own
    (re.compile(r"deepseek-v3\.1"), Parsers("deepseek_v31", "deepseek_v3")),
    (re.compile(r"deepseek-v3"), Parsers("deepseek_v3")),
    (re.compile(r"hermes-[23]"), Parsers("hermes")),
    (re.compile(r"qwq"), Parsers("hermes", "deepseek_r1")),
    (re.compile(r"qwen-?2\.5.*instruct"), Parsers("hermes")),
    (re.compile(r"llama-?3\.[123].*instruct"), Parsers("llama3_json")),
    (re.compile(r"(mistral|ministral|mixtral).*instruct"), Parsers("mistral")),
    (re.compile(r"gpt-oss"), Parsers("openai", "openai_gptoss")),
)

# By config.json's `architectures`, where all models of one write alike.
_BY_ARCHITECTURE: Final = {
    "Qwen3ForCausalLM": Parsers("hermes", "qwen3"),
    "Qwen3MoeForCausalLM": Parsers("hermes", "qwen3"),
    "GptOssForCausalLM": Parsers("openai", "openai_gptoss"),
}


def parsers_of(name: str, architectures: tuple[str, ...]) -> Parsers:
    """By the name first, since a fine-tuned model keeps the architecture of its base."""
    for pattern, parsers in _BY_NAME:
        if pattern.search(name.lower()):
            return parsers
    for architecture in architectures:
        if architecture in _BY_ARCHITECTURE:
            return _BY_ARCHITECTURE[architecture]
    return Parsers()
