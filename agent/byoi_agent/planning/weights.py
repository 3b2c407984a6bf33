"""The bytes that weights take: as they are, or as a quantiser packs them.

A quantiser packs matrices in groups of weights that share a scale (and a zero point); it leaves the
table of words, the head, routers, norms and biases in the model's own type. GPTQ, AWQ, FP8 and
bitsandbytes do so with the attention's and the feed-forward's matrices, MXFP4 with experts alone;
less what the model's own list leaves whole (`left_whole.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, assert_never

from byoi_agent.planning.fields import Fields, UnfitModel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from byoi_agent.planning.architecture import Architecture
    from byoi_agent.planning.parts import Part, Role

Grouping = Literal["tensor", "row", "group", "block"]
"""What shares one scale: a matrix, one of its outputs, `group` inputs of an output, or a square."""


@dataclass(frozen=True)
class Quantisation:
    """How weights are packed. `bits` is for one weight, `scale_bytes` for what a group shares.

    `index_bytes` is for each input of a matrix: GPTQ's order of the groups. `whole_bits`, if given,
    is the average of a whole file, which is all that is known of a GGUF mixture.
    """

    name: str
    bits: float
    grouping: Grouping = "row"
    group: int = 0
    scale_bytes: float = 0.0
    index_bytes: int = 0
    roles: frozenset[Role] = frozenset({"linear", "expert"})
    whole_bits: float | None = None


PACKED_BY: Final = ("quantization_config", "compression_config")
"""Where a config.json speaks of its quantiser."""

_EXPERTS: Final[frozenset[Role]] = frozenset({"expert"})

NAMED: Final[Mapping[str, Quantisation]] = MappingProxyType(
    {
        # vLLM's own, made while loading: one scale for each matrix.
        "fp8": Quantisation("fp8", 8, "tensor", scale_bytes=4),
        # A 16-bit scale and a 4-bit zero point for 128 weights (AutoAWQ, AutoGPTQ); GPTQ keeps a
        # 32-bit number for each input besides.
        "awq": Quantisation("awq", 4, "group", 128, 2.5),
        "gptq": Quantisation("gptq", 4, "group", 128, 2.5, index_bytes=4),
        "int8": Quantisation("int8", 8, "row", scale_bytes=4),
        # NF4 with a 32-bit maximum for 64 weights (bitsandbytes, blocksize 64).
        "bitsandbytes": Quantisation("bitsandbytes", 4, "group", 64, 4),
        # Open Compute's microscaling format: 32 weights of 4 bits share an 8-bit exponent.
        "mxfp4": Quantisation("mxfp4", 4, "group", 32, 1, roles=_EXPERTS),
    }
)

GGUF_BITS: Final[Mapping[str, float]] = MappingProxyType(
    {
        "f16": 16.0, "bf16": 16.0, "q8_0": 8.5, "q6_k": 6.57, "q5_k_m": 5.70, "q5_k_s": 5.57,
        "q5_0": 5.59, "q4_k_m": 4.89, "q4_k_s": 4.67, "q4_1": 5.13, "q4_0": 4.66, "iq4_xs": 4.46,
        "iq4_nl": 4.68, "q3_k_l": 4.30, "q3_k_m": 4.00, "q3_k_s": 3.64, "q2_k": 3.16,
        "mxfp4": 4.25,
    }
)  # fmt: skip
"""Bits for each weight, all of a file counted: llama.cpp's table for Llama 3.1 8B
(tools/quantize/README.md). Small models come out larger: their table of words weighs more."""


def quantisation_of(config: Mapping[str, Any]) -> Quantisation | None:
    """What a config.json says of it; None for weights as they are.

    Raises:
        UnfitModel: a quantiser that byoi does not know, or none at all.
    """
    given = next((config[name] for name in PACKED_BY if config.get(name)), None)
    if not given:
        return None
    if not isinstance(given, dict):
        raise UnfitModel("config.json: quantization_config is no object; pull the model again")
    fields = Fields(given)
    method = fields.text("quant_method", default="none").lower().replace("_", "-")
    match method:
        case "awq" | "gptq" | "auto-round":
            return _grouped(fields, "awq" if method == "awq" else "gptq")
        case "fp8" | "fbgemm-fp8" | "modelopt":
            return _fp8(fields)
        case "bitsandbytes":
            return _bitsandbytes(fields)
        case "mxfp4":
            return NAMED["mxfp4"]
        case "compressed-tensors":
            return _compressed(fields)
    raise UnfitModel(
        f"config.json: byoi does not know the quantisation {method!r}; with the model's "
        ".safetensors files beside it, it can count their bytes"
    )


def named(name: str) -> Quantisation:
    """The quantisation that somebody asks about, `q4_k_m` for one.

    Raises:
        UnfitModel: there is none by that name.
    """
    wanted = name.lower().replace("-", "_")
    if wanted in NAMED:
        return NAMED[wanted]
    if wanted in GGUF_BITS:
        return Quantisation(wanted, GGUF_BITS[wanted], whole_bits=GGUF_BITS[wanted])
    known = ", ".join([*NAMED, *GGUF_BITS])
    raise UnfitModel(f"byoi does not know the quantisation {name!r}; it knows {known}")


def weight_bytes(architecture: Architecture, quantisation: Quantisation | None) -> int:
    """What the model's weights take in all.

    Vision towers are left as they are by all quantisers that we know.
    """
    if quantisation is not None and quantisation.whole_bits is not None:
        return round(architecture.parameters * quantisation.whole_bits / 8)
    plain = architecture.dtype_bytes
    return round(sum(_part_bytes(part, quantisation, plain) for part in architecture.parts))


def bytes_per_weight(
    quantisation: Quantisation | None, plain_bytes: int, role: Role, *, is_whole: bool = False
) -> float:
    """About what one weight of a matrix takes: what a token's way through it reads."""
    if quantisation is None:
        return plain_bytes
    if quantisation.whole_bits is not None:
        return quantisation.whole_bits / 8
    if is_whole or role not in quantisation.roles:
        return plain_bytes
    shared = quantisation.scale_bytes / quantisation.group if quantisation.group else 0.0
    return quantisation.bits / 8 + shared


def _part_bytes(part: Part, quantisation: Quantisation | None, plain_bytes: int) -> float:
    if quantisation is None or part.is_whole or part.role not in quantisation.roles:
        return part.parameters * plain_bytes
    shared = _groups(part, quantisation) * quantisation.scale_bytes
    index = part.inputs * quantisation.index_bytes
    return part.parameters * quantisation.bits / 8 + part.count * (shared + index)


def _groups(part: Part, quantisation: Quantisation) -> int:
    size = max(1, quantisation.group)
    match quantisation.grouping:
        case "tensor":
            return 1
        case "row":
            return part.outputs
        case "group":
            return -(-part.inputs // size) * part.outputs
        case "block":
            return -(-part.inputs // size) * -(-part.outputs // size)
        case _:
            assert_never(quantisation.grouping)


def _grouped(fields: Fields, name: str) -> Quantisation:
    bits = fields.size("bits", "w_bit", default=4)
    # -1 stands for all inputs of an output.
    told = fields.inner("none") if _is_minus_one(fields) else fields
    group = told.size("group_size", "q_group_size", default=128)
    grouping: Grouping = "row" if _is_minus_one(fields) else "group"
    index = 4 if name == "gptq" else 0
    return Quantisation(f"{name} int{bits}", bits, grouping, group, 2 + bits / 8, index)


def _is_minus_one(fields: Fields) -> bool:
    return fields.is_exactly("group_size", -1) or fields.is_exactly("q_group_size", -1)


def _fp8(fields: Fields) -> Quantisation:
    if "4" in fields.text("quant_algo") and "8" not in fields.text("quant_algo"):
        return Quantisation("nvfp4", 4, "group", 16, 1)
    block = fields.items("weight_block_size")
    if len(block) == 2 and isinstance(block[0], int) and block[0] > 0:  # noqa: PLR2004 a square
        return Quantisation("fp8", 8, "block", block[0], 4)
    return Quantisation("fp8", 8, "row", scale_bytes=4)


def _bitsandbytes(fields: Fields) -> Quantisation:
    if fields.flag("load_in_8bit", "_load_in_8bit"):
        return Quantisation("bitsandbytes int8", 8, "row", scale_bytes=4)
    # Doubly quantised, a maximum is 8 bits, and 256 of those share one of 32.
    is_double = fields.flag("bnb_4bit_use_double_quant")
    scale = 1 + 4 / 256 if is_double else 4
    kind = fields.text("bnb_4bit_quant_type", default="fp4")
    return Quantisation(f"bitsandbytes {kind}", 4, "group", 64, scale)


def _compressed(fields: Fields) -> Quantisation:
    first = fields.inner("config_groups").inner("group_0").inner("weights")
    if not first.has("num_bits"):
        raise UnfitModel(
            "config.json: quantization_config does not say how its group_0 packs weights; with the "
            "model's .safetensors files beside it, byoi can count their bytes"
        )
    bits = first.size("num_bits")
    kind = "int" if first.text("type") == "int" else "fp"
    group = first.count("group_size", default=0)
    strategy = first.text("strategy", default="group" if group else "channel")
    name = f"compressed-tensors {kind}{bits}"
    if strategy in {"group", "tensor_group"}:
        scale = 1 if kind == "fp" else 2
        return Quantisation(name, bits, "group", group or 128, scale)
    grouping: Grouping = "tensor" if strategy == "tensor" else "row"
    return Quantisation(name, bits, grouping, scale_bytes=2)
