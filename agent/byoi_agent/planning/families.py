"""What config.json does not say because the family's code knows it: one row for each family.

Read from the modelling code of transformers 5.19 (`models/*/modeling_*.py`) and checked against the
parameters that it then has; see `tests/agent/planning/models/`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from byoi_agent.planning.fields import Fields


@dataclass(frozen=True)
class Flag:
    """Something that the family always has, or that a field of one of these names turns on."""

    names: tuple[str, ...] = ()
    default: bool = False

    def read(self, fields: Fields) -> bool:
        """Whether this model has it."""
        return fields.flag(*self.names, default=self.default) if self.names else self.default


NEVER: Final = Flag()
ALWAYS: Final = Flag(default=True)
_ATTENTION_BIAS: Final = Flag(("attention_bias",))
_MLP_BIAS: Final = Flag(("mlp_bias",))
_USE_BIAS: Final = Flag(("use_bias",), default=True)

Windows = Literal["none", "all", "alternating", "late"]
"""Which layers a `sliding_window` holds for where no `layer_types` says so: those before each n-th
one (alternating), or those from `max_window_layers` on, if `use_sliding_window` says so (late)."""


@dataclass(frozen=True)
class Family:
    """One family of decoders.

    `norms` counts a layer's normalisations over the hidden size. `qk_norm` normalises queries and
    keys by `head` (one weight for each number of a head), over `all` heads at once, or with weights
    of `each` head.
    """

    norms: int = 2
    norm_bias: Flag = NEVER
    has_final_norm: bool = True
    has_embedding_norm: bool = False
    qkv_bias: Flag = NEVER
    out_bias: Flag = NEVER
    mlp_bias: Flag = NEVER
    head_bias: Flag = NEVER
    qk_norm: Literal["head", "all", "each"] = "head"
    has_qk_norm: Flag = NEVER
    is_gated: bool = True
    is_tied: bool = False
    extra_positions: int | None = None
    """Learned positions beyond those of the context; None: the family turns its vectors instead."""
    windows: Windows = "none"
    window_every: int = 2
    has_experts: bool = False
    expert_bias: bool = False
    router_bias: bool = False
    shared_gate: bool = False
    has_sinks: bool = False
    has_gated_queries: bool = False
    defaults: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


_LLAMA: Final = Family(qkv_bias=_ATTENTION_BIAS, out_bias=_ATTENTION_BIAS, mlp_bias=_MLP_BIAS)
_GPT: Final = Family(
    norm_bias=ALWAYS,
    qkv_bias=ALWAYS,
    out_bias=ALWAYS,
    mlp_bias=ALWAYS,
    is_gated=False,
    is_tied=True,
    extra_positions=0,
)
_QWEN3: Final = Family(
    qkv_bias=_ATTENTION_BIAS,
    out_bias=_ATTENTION_BIAS,
    has_qk_norm=ALWAYS,
    windows="late",
    defaults={"head_dim": 128},
)
_GEMMA: Final = Family(
    qkv_bias=_ATTENTION_BIAS, out_bias=_ATTENTION_BIAS, is_tied=True, defaults={"head_dim": 256}
)
_GLM: Final = Family(qkv_bias=_ATTENTION_BIAS, defaults={"head_dim": 128})
_OLMO2: Final = Family(
    qkv_bias=_ATTENTION_BIAS, out_bias=_ATTENTION_BIAS, qk_norm="all", has_qk_norm=ALWAYS
)
_COHERE: Final = Family(
    norms=1,
    qkv_bias=_ATTENTION_BIAS,
    out_bias=_ATTENTION_BIAS,
    is_tied=True,
    qk_norm="each",
    has_qk_norm=Flag(("use_qk_norm",)),
)
_DEEPSEEK: Final = Family(
    qkv_bias=_ATTENTION_BIAS, out_bias=_ATTENTION_BIAS, mlp_bias=_MLP_BIAS, has_experts=True
)

FAMILIES: Final[Mapping[str, Family]] = MappingProxyType(
    {
        # Llama and what is built as it is.
        "llama": _LLAMA,
        "mistral": Family(windows="all"),
        "ministral": Family(windows="all"),
        "ministral3": Family(windows="all"),
        "smollm3": _LLAMA,
        "granite": _LLAMA,
        "seed_oss": Family(
            qkv_bias=Flag(("attention_bias",), default=True),
            out_bias=Flag(("attention_out_bias",)),
            mlp_bias=_MLP_BIAS,
            defaults={"head_dim": 128},
        ),
        "internlm2": Family(),
        "exaone4": Family(has_qk_norm=ALWAYS, windows="alternating", window_every=4),
        "hunyuan_v1_dense": Family(
            qkv_bias=_ATTENTION_BIAS, out_bias=_ATTENTION_BIAS, has_qk_norm=ALWAYS
        ),
        "ernie4_5": Family(
            qkv_bias=Flag(("use_bias",)),
            out_bias=Flag(("use_bias",)),
            mlp_bias=Flag(("use_bias",)),
            is_tied=True,
        ),
        "qwen2": Family(qkv_bias=ALWAYS, windows="late"),
        "qwen3": _QWEN3,
        "qwen2_vl_text": Family(qkv_bias=ALWAYS, windows="late"),
        "qwen2_5_vl_text": Family(qkv_bias=ALWAYS, windows="late"),
        "qwen3_vl_text": _QWEN3,
        "phi3": Family(windows="all"),
        "gemma": _GEMMA,
        "gemma2": Family(
            norms=4,
            qkv_bias=_ATTENTION_BIAS,
            out_bias=_ATTENTION_BIAS,
            is_tied=True,
            windows="alternating",
            window_every=2,
            defaults={"head_dim": 256, "sliding_window": 4096},
        ),
        "gemma3_text": Family(
            norms=4,
            qkv_bias=_ATTENTION_BIAS,
            out_bias=_ATTENTION_BIAS,
            is_tied=True,
            has_qk_norm=ALWAYS,
            windows="alternating",
            window_every=6,
            defaults={
                "vocab_size": 262_208,
                "hidden_size": 2304,
                "intermediate_size": 9216,
                "num_hidden_layers": 26,
                "num_attention_heads": 8,
                "num_key_value_heads": 4,
                "head_dim": 256,
                "max_position_embeddings": 131_072,
                "sliding_window": 4096,
            },
        ),
        "olmo": Family(
            norms=0, has_final_norm=False, qkv_bias=_ATTENTION_BIAS, out_bias=_ATTENTION_BIAS
        ),
        "olmo2": _OLMO2,
        "olmo3": Family(
            qkv_bias=_ATTENTION_BIAS,
            out_bias=_ATTENTION_BIAS,
            qk_norm="all",
            has_qk_norm=ALWAYS,
            windows="alternating",
            window_every=4,
        ),
        "cohere": _COHERE,
        "cohere2": Family(
            norms=1,
            qkv_bias=_ATTENTION_BIAS,
            out_bias=_ATTENTION_BIAS,
            is_tied=True,
            windows="alternating",
            window_every=4,
        ),
        "glm": _GLM,
        "glm4": Family(norms=4, qkv_bias=_ATTENTION_BIAS, defaults={"head_dim": 128}),
        "stablelm": Family(
            norm_bias=ALWAYS,
            qkv_bias=Flag(("use_qkv_bias",)),
            qk_norm="each",
            has_qk_norm=Flag(("qk_layernorm",)),
        ),
        "starcoder2": Family(
            norm_bias=ALWAYS,
            qkv_bias=_USE_BIAS,
            out_bias=_USE_BIAS,
            mlp_bias=_USE_BIAS,
            is_gated=False,
            is_tied=True,
            windows="all",
        ),
        "nemotron": Family(
            norm_bias=ALWAYS,
            qkv_bias=_ATTENTION_BIAS,
            out_bias=_ATTENTION_BIAS,
            mlp_bias=_MLP_BIAS,
            is_gated=False,
        ),
        "arcee": Family(
            qkv_bias=_ATTENTION_BIAS, out_bias=_ATTENTION_BIAS, mlp_bias=_MLP_BIAS, is_gated=False
        ),
        "apertus": Family(
            qkv_bias=_ATTENTION_BIAS, out_bias=_ATTENTION_BIAS, has_qk_norm=ALWAYS, is_gated=False
        ),
        # Before Llama.
        "gpt2": _GPT,
        "gpt_bigcode": _GPT,
        "gpt_neox": Family(
            norm_bias=ALWAYS,
            qkv_bias=Flag(("attention_bias",), default=True),
            out_bias=Flag(("attention_bias",), default=True),
            mlp_bias=ALWAYS,
            is_gated=False,
        ),
        "gptj": Family(
            norms=1, norm_bias=ALWAYS, mlp_bias=ALWAYS, is_gated=False, head_bias=ALWAYS
        ),
        "gpt_neo": Family(
            norm_bias=ALWAYS,
            out_bias=ALWAYS,
            mlp_bias=ALWAYS,
            is_gated=False,
            is_tied=True,
            extra_positions=0,
        ),
        "persimmon": Family(
            norm_bias=ALWAYS,
            qkv_bias=ALWAYS,
            out_bias=ALWAYS,
            mlp_bias=ALWAYS,
            is_gated=False,
        ),
        "opt": Family(
            norm_bias=ALWAYS,
            qkv_bias=Flag(("enable_bias",), default=True),
            out_bias=Flag(("enable_bias",), default=True),
            mlp_bias=Flag(("enable_bias",), default=True),
            is_gated=False,
            is_tied=True,
            extra_positions=2,
        ),
        "bloom": Family(
            norm_bias=ALWAYS,
            has_embedding_norm=True,
            qkv_bias=ALWAYS,
            out_bias=ALWAYS,
            mlp_bias=ALWAYS,
            is_gated=False,
            is_tied=True,
        ),
        "mpt": Family(is_gated=False, is_tied=True),
        "falcon": Family(
            norm_bias=ALWAYS,
            qkv_bias=Flag(("bias",)),
            out_bias=Flag(("bias",)),
            mlp_bias=Flag(("bias",)),
            is_gated=False,
            is_tied=True,
        ),
        "phi": Family(
            norms=1,
            norm_bias=ALWAYS,
            qkv_bias=ALWAYS,
            out_bias=ALWAYS,
            mlp_bias=ALWAYS,
            head_bias=ALWAYS,
            is_gated=False,
        ),
        # Mixtures of experts.
        "mixtral": Family(has_experts=True, windows="all"),
        "dbrx": Family(has_experts=True),
        "hunyuan_v1_moe": Family(
            qkv_bias=_ATTENTION_BIAS,
            out_bias=_ATTENTION_BIAS,
            has_qk_norm=ALWAYS,
            has_experts=True,
            defaults={"n_shared_experts": 1},
        ),
        "dots1": Family(
            qkv_bias=_ATTENTION_BIAS, out_bias=_ATTENTION_BIAS, has_qk_norm=ALWAYS, has_experts=True
        ),
        "qwen2_moe": Family(
            qkv_bias=Flag(("qkv_bias",), default=True),
            has_experts=True,
            shared_gate=True,
            windows="late",
        ),
        "qwen3_moe": Family(
            qkv_bias=_ATTENTION_BIAS,
            out_bias=_ATTENTION_BIAS,
            has_qk_norm=ALWAYS,
            has_experts=True,
            windows="late",
        ),
        "qwen3_vl_moe_text": Family(
            qkv_bias=_ATTENTION_BIAS,
            out_bias=_ATTENTION_BIAS,
            has_qk_norm=ALWAYS,
            has_experts=True,
        ),
        "olmoe": Family(
            qkv_bias=_ATTENTION_BIAS,
            out_bias=_ATTENTION_BIAS,
            qk_norm="all",
            has_qk_norm=ALWAYS,
            has_experts=True,
        ),
        "granitemoe": Family(qkv_bias=_ATTENTION_BIAS, out_bias=_ATTENTION_BIAS, has_experts=True),
        "phimoe": Family(
            norm_bias=ALWAYS,
            qkv_bias=_ATTENTION_BIAS,
            out_bias=_ATTENTION_BIAS,
            head_bias=Flag(("lm_head_bias",)),
            has_experts=True,
            windows="all",
        ),
        "deepseek_v2": _DEEPSEEK,
        "deepseek_v3": _DEEPSEEK,
        "deepseek_v32": _DEEPSEEK,
        "kimi_k2": _DEEPSEEK,
        "glm4_moe": Family(
            qkv_bias=_ATTENTION_BIAS,
            has_qk_norm=Flag(("use_qk_norm",)),
            has_experts=True,
        ),
        "glm4_moe_lite": _DEEPSEEK,
        "ernie4_5_moe": Family(
            qkv_bias=Flag(("use_bias",)),
            out_bias=Flag(("use_bias",)),
            mlp_bias=Flag(("use_bias",)),
            has_experts=True,
            router_bias=True,
            is_tied=True,
        ),
        "minimax_m2": Family(qk_norm="all", has_qk_norm=ALWAYS, has_experts=True),
        "gpt_oss": Family(
            qkv_bias=Flag(("attention_bias",), default=True),
            out_bias=Flag(("attention_bias",), default=True),
            has_experts=True,
            expert_bias=True,
            router_bias=True,
            has_sinks=True,
            windows="alternating",
            window_every=2,
            defaults={"head_dim": 64},
        ),
        "llama4_text": Family(
            qkv_bias=_ATTENTION_BIAS,
            out_bias=_ATTENTION_BIAS,
            has_experts=True,
            defaults={
                "attention_chunk_size": 8192,
                "interleave_moe_layer_step": 1,
                "head_dim": 128,
                "num_experts_per_tok": 1,
                "intermediate_size_mlp": 16_384,
                "max_position_embeddings": 131_072,
                "no_rope_layer_interval": 4,
            },
        ),
        # With state-space or linear-attention layers.
        "mamba": Family(norms=1, is_tied=True),
        "falcon_mamba": Family(norms=1, is_tied=True),
        "mamba2": Family(norms=1),
        "jamba": Family(has_experts=True),
        "bamba": Family(qkv_bias=_ATTENTION_BIAS, out_bias=_ATTENTION_BIAS, mlp_bias=_MLP_BIAS),
        "granitemoehybrid": Family(
            qkv_bias=_ATTENTION_BIAS, out_bias=_ATTENTION_BIAS, has_experts=True
        ),
        "nemotron_h": Family(
            norms=1,
            qkv_bias=_ATTENTION_BIAS,
            out_bias=_ATTENTION_BIAS,
            mlp_bias=_MLP_BIAS,
            is_gated=False,
            has_experts=True,
        ),
        "falcon_h1": Family(qkv_bias=_ATTENTION_BIAS, out_bias=_ATTENTION_BIAS, mlp_bias=_MLP_BIAS),
        "qwen3_next": Family(
            qkv_bias=_ATTENTION_BIAS,
            out_bias=_ATTENTION_BIAS,
            has_qk_norm=ALWAYS,
            has_experts=True,
            shared_gate=True,
            has_gated_queries=True,
            defaults={"head_dim": 256},
        ),
        "qwen3_5_text": Family(
            qkv_bias=_ATTENTION_BIAS,
            out_bias=_ATTENTION_BIAS,
            has_qk_norm=ALWAYS,
            has_gated_queries=True,
            defaults={"head_dim": 256},
        ),
        "qwen3_5_moe_text": Family(
            qkv_bias=_ATTENTION_BIAS,
            out_bias=_ATTENTION_BIAS,
            has_qk_norm=ALWAYS,
            has_experts=True,
            shared_gate=True,
            has_gated_queries=True,
            defaults={"head_dim": 256},
        ),
    }
)
"""By `model_type`."""
