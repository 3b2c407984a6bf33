"""Configs in other words: models that are built as another family is, and name the same otherwise.

Read from the models' own modelling code, which is published beside their weights, or from that of
transformers 5.19.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from byoi_agent.planning.families import FAMILIES
from byoi_agent.planning.fields import UnfitModel

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Dialect:
    """As `family`; `names` are its own words with the family's, `inside` objects that it unfolds.

    `doubles_inner`: it counts both halves of the feed-forward part, the gate's and the other, as
    one.
    """

    family: str
    names: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    inside: tuple[str, ...] = ()
    doubles_inner: bool = False


_AS_LLAMA: Final = Dialect("llama")

DIALECTS: Final[Mapping[str, Dialect]] = MappingProxyType(
    {
        "Yi": _AS_LLAMA,
        "aquila": _AS_LLAMA,
        "xverse": _AS_LLAMA,
        "baichuan": _AS_LLAMA,
        "exaone": Dialect("llama", {"num_layers": "num_hidden_layers"}),
        "internlm": Dialect("llama", {"bias": "attention_bias"}),
        "internlm3": Dialect(
            "seed_oss", {"qkv_bias": "attention_bias", "bias": "attention_out_bias"}
        ),
        "mimo": Dialect("qwen2"),
        "qwen": Dialect("qwen2", doubles_inner=True),
        "chatglm": Dialect(
            "glm",
            {
                "num_layers": "num_hidden_layers",
                "multi_query_group_num": "num_key_value_heads",
                "ffn_hidden_size": "intermediate_size",
                "padded_vocab_size": "vocab_size",
                "kv_channels": "head_dim",
                "add_qkv_bias": "attention_bias",
            },
        ),
        "glm4v_text": Dialect("glm4"),
        "glm4v_moe_text": Dialect("glm4_moe"),
        "deepseek": Dialect("deepseek_v2"),
        "codegen": Dialect("gptj"),
        "dbrx": Dialect(
            "dbrx",
            {
                "kv_n_heads": "num_key_value_heads",
                "moe_num_experts": "num_local_experts",
                "moe_top_k": "num_experts_per_tok",
                "ffn_hidden_size": "intermediate_size",
            },
            inside=("attn_config", "ffn_config"),
        ),
        "hunyuan_v1_moe": Dialect("hunyuan_v1_moe", {"num_shared_expert": "n_shared_experts"}),
        "gpt_neo": Dialect(
            "gpt_neo", {"num_layers": "num_hidden_layers", "num_heads": "num_attention_heads"}
        ),
        "stablelm_epoch": Dialect("stablelm"),
        "RefinedWeb": Dialect("falcon"),
        "RefinedWebModel": Dialect("falcon"),
    }
)
"""By `model_type`."""

_ENDINGS: Final = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration", "Model")


def translated(config: Mapping[str, Any], model_type: str) -> tuple[Mapping[str, Any], str]:
    """The same in a family's words, and that family.

    Raises:
        UnfitModel: its feed-forward part cannot be halved.
    """
    dialect = DIALECTS.get(model_type)
    if dialect is None:
        return config, model_type
    said: dict[str, Any] = dict(config)
    for name in dialect.inside:
        inner = config.get(name)
        said |= inner if isinstance(inner, dict) else {}
    said |= {ours: said[theirs] for theirs, ours in dialect.names.items() if theirs in said}
    if dialect.doubles_inner:
        said["intermediate_size"] = _half(said.get("intermediate_size"))
    return said, dialect.family


def type_of(config: Mapping[str, Any]) -> str:
    """Its `model_type`; where a config names none, the one that its architecture is called after.

    `Qwen2MoeForCausalLM` is of `qwen2_moe`.
    """
    if told := str(config.get("model_type") or ""):
        return told
    given = config.get("architectures")
    name = str(given[0]) if isinstance(given, list) and given else ""
    ending = next((one for one in _ENDINGS if name.endswith(one)), "")
    wanted = name.removesuffix(ending).lower()
    return next((one for one in (*FAMILIES, *DIALECTS) if _plain(one) == wanted), "")


def _plain(model_type: str) -> str:
    return model_type.replace("_", "").lower()


def _half(inner: object) -> int:
    if type(inner) is not int or inner % 2:
        raise UnfitModel("config.json: its 'intermediate_size' is no size that has a half")
    return inner // 2
