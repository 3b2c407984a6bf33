from __future__ import annotations

import pytest

from byoi_agent.engine.kinds.vllm_families import Parsers, parsers_of


@pytest.mark.parametrize(
    ("name", "architecture", "parsers"),
    [
        ("Qwen2.5-7B-Instruct", "Qwen2ForCausalLM", Parsers("hermes")),
        ("Qwen3-8B", "Qwen3ForCausalLM", Parsers("hermes", "qwen3")),
        ("Qwen3-4B-Instruct-2507", "Qwen3ForCausalLM", Parsers("hermes")),
        (
            "Qwen3-30B-A3B-Thinking-2507",
            "Qwen3MoeForCausalLM",
            Parsers("hermes", "qwen3"),
        ),
        ("DeepSeek-V3.2", "DeepseekV32ForCausalLM", Parsers()),
        ("DeepSeek-V3-0324", "DeepseekV3ForCausalLM", Parsers("deepseek_v3")),
        ("Qwen3-Coder-30B-A3B-Instruct", "Qwen3MoeForCausalLM", Parsers("qwen3_coder")),
        ("Llama-3.1-8B-Instruct", "LlamaForCausalLM", Parsers("llama3_json")),
        ("Mistral-7B-Instruct-v0.3", "MistralForCausalLM", Parsers("mistral")),
        ("DeepSeek-R1", "DeepseekV3ForCausalLM", Parsers("deepseek_v3", "deepseek_r1")),
        ("DeepSeek-R1-Distill-Llama-8B", "LlamaForCausalLM", Parsers(None, "deepseek_r1")),
        ("gpt-oss-20b", "GptOssForCausalLM", Parsers("openai", "openai_gptoss")),
        ("my-own-tune", "GptOssForCausalLM", Parsers("openai", "openai_gptoss")),
        ("my-own-tune", "LlamaForCausalLM", Parsers()),
        ("smollm2-135m-instruct", "LlamaForCausalLM", Parsers()),
    ],
)
def test_a_family_is_known_by_its_name_then_by_its_architecture(name, architecture, parsers):
    assert parsers_of(name, (architecture,)) == parsers
