"""Which of a layer's matrices a quantiser has left as they are, by the list in its config.json.

The lists name modules as the model's code does (`model.layers.3.self_attn.o_proj`), parts of such
names (`self_attn`), or patterns of them. Patterns are taken apart, never run: one of somebody
else's can take for ever. One that has more in it than wildcards and alternatives is passed over, so
that what it names counts as packed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

Kind = Literal["attention", "delta", "mamba", "dense", "expert", "shared"]

_LISTS: Final = (
    "modules_to_not_convert",  # transformers: FP8, AWQ, bitsandbytes, MXFP4
    "ignore",  # compressed-tensors, ModelOpt
    "ignored_layers",  # vLLM
    "exclude_modules",  # ModelOpt
    "llm_int8_skip_modules",  # bitsandbytes
)
_OUTPUTS: Final[Mapping[Kind, tuple[str, ...]]] = {
    "attention": ("self_attn.o_proj", "self_attn.dense", "mixer.o_proj"),
    "delta": ("linear_attn.out_proj",),
    "mamba": ("mamba.out_proj", "mixer.out_proj"),
    "dense": ("mlp.down_proj", "mlp.fc2", "feed_forward.down_proj", "mixer.down_proj"),
    "expert": (
        *("mlp.experts.0.down_proj", "mlp.experts.down_proj"),
        *("block_sparse_moe.experts.0.w2", "feed_forward.experts.down_proj"),
    ),
    "shared": (
        *("mlp.shared_experts.down_proj", "mlp.shared_expert.down_proj"),
        *("feed_forward.shared_expert.down_proj", "shared_mlp.output_linear"),
    ),
}
"""The matrix that stands for all of its kind in a layer, as families name it: whoever leaves some
of them whole leaves the last one, which makes what the next layer reads."""

_LAYERS: Final = "layers"
_REGEX: Final = "re:"
_WILD: Final = re.compile(r"\.\*|\.\+|\\d\+|\[0-9\]\+")
_CHOICE: Final = re.compile(r"\((?:\?:)?([^()]*)\)")
_LITERAL: Final = re.compile(r"[\w.-]*")
_OTHER_TOWERS: Final = ("vis", "image", "audio", "speech")
_PATTERNS_AT_MOST: Final = 200
_ALTERNATIVES_AT_MOST: Final = 64


@dataclass(frozen=True)
class LeftWhole:
    """`names` stand in a module's name between dots; `patterns` are pieces that follow in it."""

    names: frozenset[str] = frozenset()
    patterns: tuple[tuple[str, ...], ...] = ()

    def has(self, kind: Kind, layer: int) -> bool:
        """Whether the matrices of this kind are as they were in this layer."""
        if not self.names and not self.patterns:
            return False
        modules = (f"{_LAYERS}.{layer}.{output}" for output in _OUTPUTS[kind])
        return any(self._names(module) for module in modules)

    def _names(self, module: str) -> bool:
        words = module.split(".")
        spans = (
            ".".join(words[start:end])
            for start in range(len(words))
            for end in range(start + 1, len(words) + 1)
        )
        return any(span in self.names for span in spans) or any(
            _follow(pieces, module) for pieces in self.patterns
        )


def left_whole(config: Mapping[str, Any]) -> LeftWhole:
    """What a config.json's quantiser has left alone; nothing where it has none, or says nothing."""
    given = config.get("quantization_config") or config.get("compression_config")
    lists = [given.get(name) for name in _LISTS] if isinstance(given, dict) else []
    told = [
        one
        for each in lists
        for one in (each if isinstance(each, list) else ())
        if isinstance(one, str) and one and not any(tower in one for tower in _OTHER_TOWERS)
    ]
    is_plain = {one: _LITERAL.fullmatch(one) is not None for one in told}
    return LeftWhole(
        frozenset(_from_layers(one) for one in told if is_plain[one]),
        tuple(_taken_apart(one for one in told if not is_plain[one]))[:_PATTERNS_AT_MOST],
    )


def _from_layers(name: str) -> str:
    """Families differ in what stands before the layers."""
    _, found, after = name.partition(_LAYERS)
    return f"{found}{after}" if found else name


def _taken_apart(patterns: Iterable[str]) -> Iterator[tuple[str, ...]]:
    for pattern in patterns:
        is_regex = pattern.startswith(_REGEX) or "\\" in pattern
        for one in _alternatives(pattern.removeprefix(_REGEX).strip("^$")):
            found = _WILD.split(one) if is_regex else one.split("*")
            pieces = [piece.replace("\\.", ".") for piece in found]
            if all(map(_LITERAL.fullmatch, pieces)):
                yield tuple(_from_layers(piece) for piece in pieces if piece)


def _alternatives(pattern: str) -> Iterator[str]:
    """The pattern once for each way through its `(a|b)`."""
    parts = _CHOICE.split(pattern)
    ways = [one.split("|") if number % 2 else [one] for number, one in enumerate(parts)]
    count = 1
    for way in ways:
        count *= len(way)
    return map("".join, product(*ways)) if count <= _ALTERNATIVES_AT_MOST else iter(())


def _follow(pieces: tuple[str, ...], module: str) -> bool:
    """Whether they stand in it, one after the other."""
    place = 0
    for piece in pieces:
        found = module.find(piece, place)
        if found < 0:
            return False
        place = found + len(piece)
    return True
