"""Well-known open models, by the settings that their own cards publish: what one could serve here.

Only what the planner reads; `tests/agent/planning/models/` holds them against the whole config.json
and the parameters of each card.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_GRANITE_ATTENTION: Final = frozenset({5, 15, 25, 35})

KNOWN_MODELS: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "HuggingFaceTB/SmolLM2-135M-Instruct": {
            "model_type": "llama", "hidden_size": 576, "intermediate_size": 1536,
            "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3,
            "vocab_size": 49_152, "max_position_embeddings": 8192, "tie_word_embeddings": True,
        },
        "meta-llama/Llama-3.2-1B-Instruct": {
            "model_type": "llama", "hidden_size": 2048, "intermediate_size": 8192,
            "num_hidden_layers": 16, "num_attention_heads": 32, "num_key_value_heads": 8,
            "vocab_size": 128_256, "max_position_embeddings": 131_072, "tie_word_embeddings":
            True, "head_dim": 64,
        },
        "google/gemma-3-4b-it": {
            "model_type": "gemma3", "text_config": {"hidden_size": 2560, "intermediate_size":
            10_240, "model_type": "gemma3_text", "num_hidden_layers": 34, "sliding_window":
            1024}, "vision_config": {"hidden_size": 1152, "image_size": 896,
            "intermediate_size": 4304, "model_type": "siglip_vision_model",
            "num_attention_heads": 16, "num_hidden_layers": 27, "patch_size": 14},
        },
        "Qwen/Qwen2.5-7B-Instruct": {
            "model_type": "qwen2", "hidden_size": 3584, "intermediate_size": 18_944,
            "num_hidden_layers": 28, "num_attention_heads": 28, "num_key_value_heads": 4,
            "vocab_size": 152_064, "max_position_embeddings": 32_768,
        },
        "meta-llama/Llama-3.1-8B-Instruct": {
            "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14_336,
            "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
            "vocab_size": 128_256, "max_position_embeddings": 131_072,
        },
        "Qwen/Qwen3-8B": {
            "model_type": "qwen3", "head_dim": 128, "hidden_size": 4096, "intermediate_size":
            12_288, "num_hidden_layers": 36, "num_attention_heads": 32, "num_key_value_heads":
            8, "vocab_size": 151_936, "max_position_embeddings": 40_960,
        },
        "ibm-granite/granite-3.3-8b-instruct": {
            "model_type": "granite", "hidden_size": 4096, "intermediate_size": 12_800,
            "max_position_embeddings": 131_072, "num_attention_heads": 32, "num_hidden_layers":
            40, "num_key_value_heads": 8, "tie_word_embeddings": True, "vocab_size": 49_159,
        },
        "allenai/OLMo-2-1124-7B-Instruct": {
            "model_type": "olmo2", "hidden_size": 4096, "intermediate_size": 11_008,
            "max_position_embeddings": 4096, "num_attention_heads": 32, "num_hidden_layers": 32,
            "num_key_value_heads": 32, "vocab_size": 100_352,
        },
        "tiiuae/Falcon-H1-7B-Instruct": {
            "model_type": "falcon_h1", "head_dim": 128, "hidden_size": 3072,
            "intermediate_size": 12_288, "mamba_d_conv": 4, "mamba_d_head": 128, "mamba_d_ssm":
            3072, "mamba_d_state": 256, "mamba_n_groups": 1, "mamba_n_heads": 24,
            "max_position_embeddings": 262_144, "num_attention_heads": 12, "num_hidden_layers":
            44, "num_key_value_heads": 2, "vocab_size": 130_049,
        },
        "nvidia/Nemotron-H-8B-Base-8K": {
            "model_type": "nemotron_h", "head_dim": 128, "conv_kernel": 4, "hidden_size": 4096,
            "hybrid_override_pattern": "M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M-",
            "intermediate_size": 21_504, "mamba_head_dim": 64, "mamba_num_heads": 128,
            "max_position_embeddings": 8192, "n_groups": 8, "num_attention_heads": 32,
            "num_hidden_layers": 52, "num_key_value_heads": 8, "ssm_state_size": 128,
            "vocab_size": 131_072,
        },
        "microsoft/phi-4": {
            "model_type": "phi3", "hidden_size": 5120, "intermediate_size": 17_920,
            "max_position_embeddings": 16_384, "num_attention_heads": 40, "num_hidden_layers":
            40, "num_key_value_heads": 10, "vocab_size": 100_352,
        },
        "deepseek-ai/DeepSeek-V2-Lite-Chat": {
            "model_type": "deepseek_v2", "qk_nope_head_dim": 128, "qk_rope_head_dim": 64,
            "v_head_dim": 128, "kv_lora_rank": 512, "hidden_size": 2048, "intermediate_size":
            10_944, "moe_intermediate_size": 1408, "first_k_dense_replace": 1,
            "n_routed_experts": 64, "n_shared_experts": 2, "num_experts_per_tok": 6,
            "num_attention_heads": 16, "num_key_value_heads": 16, "num_hidden_layers": 27,
            "max_position_embeddings": 163_840, "vocab_size": 102_400,
        },
        "openai/gpt-oss-20b": {
            "model_type": "gpt_oss", "attention_bias": True, "head_dim": 64, "hidden_size":
            2880, "intermediate_size": 2880, "max_position_embeddings": 131_072,
            "num_attention_heads": 64, "num_experts_per_tok": 4, "num_hidden_layers": 24,
            "num_key_value_heads": 8, "num_local_experts": 32, "sliding_window": 128,
            "vocab_size": 201_088, "quantization_config": {"quant_method": "mxfp4"},
        },
        "mistralai/Mistral-Small-24B-Instruct-2501": {
            "model_type": "mistral", "hidden_size": 5120, "intermediate_size": 32_768,
            "num_hidden_layers": 40, "num_attention_heads": 32, "num_key_value_heads": 8,
            "head_dim": 128, "vocab_size": 131_072, "max_position_embeddings": 32_768,
        },
        "google/gemma-3-27b-it": {
            "model_type": "gemma3", "text_config": {"head_dim": 128, "hidden_size": 5376,
            "intermediate_size": 21_504, "model_type": "gemma3_text", "num_attention_heads": 32,
            "num_hidden_layers": 62, "num_key_value_heads": 16, "sliding_window": 1024},
            "vision_config": {"hidden_size": 1152, "image_size": 896, "intermediate_size": 4304,
            "model_type": "siglip_vision_model", "num_attention_heads": 16, "num_hidden_layers":
            27, "patch_size": 14},
        },
        "Qwen/Qwen3-30B-A3B": {
            "model_type": "qwen3_moe", "head_dim": 128, "hidden_size": 2048,
            "intermediate_size": 6144, "max_position_embeddings": 40_960,
            "moe_intermediate_size": 768, "num_attention_heads": 32, "num_experts": 128,
            "num_experts_per_tok": 8, "num_hidden_layers": 48, "num_key_value_heads": 4,
            "vocab_size": 151_936,
        },
        "ibm-granite/granite-4.0-h-small": {
            "model_type": "granitemoehybrid", "hidden_size": 4096, "intermediate_size": 768,
            "layer_types": ["attention" if i in _GRANITE_ATTENTION else "mamba" for i in
            range(40)], "mamba_d_conv": 4, "mamba_d_head": 64, "mamba_d_state": 128,
            "mamba_n_groups": 1, "mamba_n_heads": 128, "max_position_embeddings": 131_072,
            "num_attention_heads": 32, "num_experts_per_tok": 10, "num_hidden_layers": 40,
            "num_key_value_heads": 8, "num_local_experts": 72, "shared_intermediate_size": 1536,
            "tie_word_embeddings": True, "vocab_size": 100_352,
        },
        "mistralai/Mixtral-8x7B-Instruct-v0.1": {
            "model_type": "mixtral", "hidden_size": 4096, "intermediate_size": 14_336,
            "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
            "num_local_experts": 8, "num_experts_per_tok": 2, "vocab_size": 32_000,
            "max_position_embeddings": 32_768,
        },
        "meta-llama/Llama-3.1-70B-Instruct": {
            "model_type": "llama", "hidden_size": 8192, "intermediate_size": 28_672,
            "num_hidden_layers": 80, "num_attention_heads": 64, "num_key_value_heads": 8,
            "vocab_size": 128_256, "max_position_embeddings": 131_072,
        },
        "Qwen/Qwen2.5-72B-Instruct": {
            "model_type": "qwen2", "hidden_size": 8192, "intermediate_size": 29_568,
            "num_hidden_layers": 80, "num_attention_heads": 64, "num_key_value_heads": 8,
            "vocab_size": 152_064, "max_position_embeddings": 32_768,
        },
        "Qwen/Qwen3-Next-80B-A3B-Instruct": {
            "model_type": "qwen3_next", "full_attention_interval": 4, "head_dim": 256,
            "hidden_size": 2048, "intermediate_size": 5120, "linear_conv_kernel_dim": 4,
            "linear_key_head_dim": 128, "linear_num_key_heads": 16, "linear_num_value_heads":
            32, "linear_value_head_dim": 128, "max_position_embeddings": 262_144,
            "moe_intermediate_size": 512, "num_attention_heads": 16, "num_experts": 512,
            "num_experts_per_tok": 10, "num_hidden_layers": 48, "num_key_value_heads": 2,
            "shared_expert_intermediate_size": 512, "vocab_size": 151_936,
        },
        "zai-org/GLM-4.5-Air": {
            "model_type": "glm4_moe", "attention_bias": True, "first_k_dense_replace": 1,
            "head_dim": 128, "hidden_size": 4096, "intermediate_size": 10_944,
            "max_position_embeddings": 131_072, "moe_intermediate_size": 1408,
            "n_routed_experts": 128, "n_shared_experts": 1, "num_attention_heads": 96,
            "num_experts_per_tok": 8, "num_hidden_layers": 46, "num_key_value_heads": 8,
            "vocab_size": 151_552,
        },
        "meta-llama/Llama-4-Scout-17B-16E-Instruct": {
            "model_type": "llama4", "text_config": {"attention_chunk_size": 8192, "head_dim":
            128, "hidden_size": 5120, "interleave_moe_layer_step": 1, "intermediate_size": 8192,
            "intermediate_size_mlp": 16_384, "max_position_embeddings": 10_485_760,
            "model_type": "llama4_text", "num_attention_heads": 40, "num_experts_per_tok": 1,
            "num_hidden_layers": 48, "num_key_value_heads": 8, "num_local_experts": 16,
            "vocab_size": 202_048}, "vision_config": {"hidden_size": 1408, "image_size": 336,
            "intermediate_size": 5632, "model_type": "llama4_vision_model",
            "num_attention_heads": 16, "num_hidden_layers": 34, "patch_size": 14,
            "projector_input_dim": 4096, "projector_output_dim": 4096, "vision_output_dim":
            4096},
        },
        "openai/gpt-oss-120b": {
            "model_type": "gpt_oss", "attention_bias": True, "head_dim": 64, "hidden_size":
            2880, "intermediate_size": 2880, "max_position_embeddings": 131_072,
            "num_attention_heads": 64, "num_experts_per_tok": 4, "num_hidden_layers": 36,
            "num_key_value_heads": 8, "num_local_experts": 128, "sliding_window": 128,
            "vocab_size": 201_088, "quantization_config": {"quant_method": "mxfp4"},
        },
        "Qwen/Qwen3-235B-A22B": {
            "model_type": "qwen3_moe", "head_dim": 128, "hidden_size": 4096,
            "intermediate_size": 12_288, "max_position_embeddings": 40_960,
            "moe_intermediate_size": 1536, "num_attention_heads": 64, "num_experts": 128,
            "num_experts_per_tok": 8, "num_hidden_layers": 94, "num_key_value_heads": 4,
            "vocab_size": 151_936,
        },
        "meta-llama/Llama-3.1-405B-Instruct": {
            "model_type": "llama", "hidden_size": 16_384, "intermediate_size": 53_248,
            "num_hidden_layers": 126, "num_attention_heads": 128, "num_key_value_heads": 8,
            "vocab_size": 128_256, "max_position_embeddings": 131_072,
        },
        "deepseek-ai/DeepSeek-V3": {
            "model_type": "deepseek_v3", "qk_nope_head_dim": 128, "qk_rope_head_dim": 64,
            "v_head_dim": 128, "kv_lora_rank": 512, "hidden_size": 7168, "intermediate_size":
            18_432, "moe_intermediate_size": 2048, "first_k_dense_replace": 3,
            "n_routed_experts": 256, "n_shared_experts": 1, "num_experts_per_tok": 8,
            "num_attention_heads": 128, "num_key_value_heads": 128, "num_hidden_layers": 61,
            "q_lora_rank": 1536, "max_position_embeddings": 163_840, "vocab_size": 129_280,
            "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]},
        },
        "moonshotai/Kimi-K2-Instruct": {
            "model_type": "kimi_k2", "qk_nope_head_dim": 128, "qk_rope_head_dim": 64,
            "v_head_dim": 128, "kv_lora_rank": 512, "hidden_size": 7168, "intermediate_size":
            18_432, "moe_intermediate_size": 2048, "first_k_dense_replace": 1,
            "n_routed_experts": 384, "n_shared_experts": 1, "num_experts_per_tok": 8,
            "num_attention_heads": 64, "num_key_value_heads": 64, "num_hidden_layers": 61,
            "q_lora_rank": 1536, "max_position_embeddings": 131_072, "vocab_size": 163_840,
            "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]},
        },
    }
)  # fmt: skip
"""By the name of the repository that publishes it."""


def known_model(name: str) -> tuple[str, Mapping[str, Any]] | None:
    """The model of that name, with or without its publisher; case does not matter."""
    wanted = name.lower()
    for repository, config in KNOWN_MODELS.items():
        if wanted in {repository.lower(), repository.lower().partition("/")[2]}:
            return repository, config
    return None
