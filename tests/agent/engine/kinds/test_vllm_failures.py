"""Lines as vLLM 0.32.0 wrote them; those that need a GPU are its source's own words."""

from __future__ import annotations

import pytest

from byoi_agent.engine.kinds.vllm_failures import last_error, reason_in

CORE = "(EngineCore pid=29967) ERROR 11-21 16:38:31 [core.py:1100] "


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            CORE + "ValueError: To serve at least one request with the model's max seq len (8192), "
            "(0.18 GiB KV cache is needed, which is larger than the available KV cache memory "
            "(0.05 GiB). Based on the available memory, the estimated maximum model length is "
            "2048. Try increasing `gpu_memory_utilization`",
            "a context of 8192 tokens needs 0.18 GiB and there are 0.05 GiB for it; raise "
            "kv_cache_gib, or set context_tokens to 2048 or less",
        ),
        (
            "ValueError: To serve at least one request with the model's max seq len (8192), "
            "(0.18 GiB KV cache is needed, which is larger than the available KV cache memory "
            "(0.00 GiB). Try increasing `gpu_memory_utilization`",
            "a context of 8192 tokens needs 0.18 GiB and there are 0.00 GiB for it; raise "
            "kv_cache_gib, or lower it",
        ),
        (
            "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory",
            "after the model's weights no memory is left",
        ),
        (
            "ValueError: Free memory on device cuda:0 (3.10/139.80 GiB) on startup is less than "
            "desired GPU memory utilization (0.92, 128.62 GiB). Decrease GPU memory utilization",
            "only 3.10 of the GPU's 139.80 GiB are free, which is less than its share of 0.92",
        ),
        (
            "ValueError: Available memory on node 0 (11.21/11.34 GiB) on kv cache allocation is "
            "less than requested memory for kv (500.0 GiB). Decrease --kv-cache-memory-bytes",
            "its context needs 500.0 GiB of memory and 11.21 GiB are free",
        ),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", "GPU's memory is"),
        (
            "RuntimeError: [enforce fail] DefaultCPUAllocator: not enough memory",
            "this machine's mem",
        ),
        ("The NVIDIA driver on your system is too old (found version 12020)", "update the driver"),
        ("CUDA error: no kernel image is available for execution", "compute capability"),
        ("RuntimeError: No CUDA GPUs are available", "no CUDA device"),
        ("RuntimeError: Failed to infer device type, please set", "install it again"),
        ("ValueError: World size (4) is larger than the number of available GPUs (1)", "lower it"),
        (
            "ValueError: Total number of attention heads (9) must be divisible by tensor parallel "
            "size (2).",
            "9 attention heads cannot be divided over 2 GPUs",
        ),
        (
            "User-specified max_model_len (99999) is greater than the derived max_model_len "
            "(max_position_embeddings=8192 or model_max_length=None in model's config.json).",
            "made for a context of 8192 tokens, not 99999",
        ),
        (
            "ValueError: Model architectures ['NopeForCausalLM'] are not supported for now.",
            "does not know the model's architecture (NopeForCausalLM)",
        ),
        (
            "Value error, The checkpoint you are trying to load has model type `nope` but "
            "Transformers does not recognize this architecture.",
            "does not know the model's architecture",
        ),
        (
            "huggingface_hub.errors.HFValidationError: Repo id must be in the form 'repo_name' or "
            "'namespace/repo_name': '/tmp/nothing'. Use `repo_type` argument if needed.",
            "the model's files are not here",
        ),
        ("OSError: You are trying to access a gated repo.", "the model's files are not here"),
        (
            "Value error, Invalid repository ID or local directory specified: '/tmp/empty'.",
            "cannot be read as a model",
        ),
        ("RuntimeError: Cannot find any model weights with `/tmp/m`", "holds no weights"),
        ("safetensors_rust.SafetensorError: Error while deserializing header", "is damaged"),
        (
            "KeyError: 'invalid tool call parser: nope (chose from { apertus,hermes })'",
            "knows no parser nope",
        ),
        ("OSError: [Errno 98] Address already in use", "its socket is taken"),
        ("OSError: AF_UNIX path too long", "choose a shorter runtime_dir"),
        ("RuntimeError: operator torchvision::nms does not exist", "does not fit together"),
        ("ImportError: libtorch.so: undefined symbol: _ZN3c10", "does not fit together"),
        ("ModuleNotFoundError: No module named 'vllm'", "its environment is damaged"),
        ("OSError: [Errno 28] No space left on device", "the disk is full"),
    ],
)
def test_a_known_failure_is_told_with_its_mend(line, said):
    after = "RuntimeError: Engine core initialization failed. See root cause above."
    assert said in reason_in(["Traceback (most recent call last):", "", line, after])


def test_the_cause_counts_and_not_what_followed_from_it():
    lines = ["torch.OutOfMemoryError: CUDA out of memory", "OSError: Address already in use"]
    assert "GPU's memory" in reason_in(lines)
    assert "GPU's memory" in reason_in(lines[::-1])


def test_a_warning_of_a_start_that_goes_well_is_no_cause():
    stamp = "(APIServer pid=71) {} 11-21 16:38:31 [interface.py:371] "
    lines = [
        stamp.format("WARNING") + 'Failed to import from vllm._C: ModuleNotFoundError("No module '
        "named 'vllm._C'\")",
        stamp.format("INFO") + "FlashAttention 3 needs compute capability 9.0",
        "ValueError: strange",
        stamp.format("WARNING") + "ImportError: a part is missing",
    ]
    assert reason_in(lines) is None
    assert last_error(lines) == "ValueError: strange"
    assert "compute capability" in reason_in([lines[1].replace("INFO", "ERROR")])


def test_what_is_not_known_is_left_to_the_last_error_there():
    lines = ["INFO all is well", "ValueError: strange", "RuntimeError: core failed", "bye"]
    assert reason_in(lines) is None
    assert last_error(lines) == "RuntimeError: core failed"
    assert last_error(["INFO"]) is None
