"""Why a vLLM ended, told from the last lines of its log in a sentence with the mend."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def _too_little_kv(found: re.Match[str]) -> str:
    fits = f"set context_tokens to {found['fits']} or less" if found["fits"] else "lower it"
    return (
        f"a context of {found['wanted']} tokens needs {found['need']} GiB and there are "
        f"{found['have']} GiB for it; raise kv_cache_gib, or {fits}"
    )


_KNOWN: Final[tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...]] = (
    (
        re.compile(
            r"max seq len \((?P<wanted>\d+)\), \((?P<need>[\d.]+) GiB KV cache is needed.*?"
            r"memory \((?P<have>[\d.]+) GiB\)(?:.*?maximum model length is (?P<fits>\d+))?"
        ),
        _too_little_kv,
    ),
    (
        re.compile(r"No available memory for the cache blocks"),
        "after the model's weights no memory is left for the context; raise gpu_memory_share, "
        "lower context_tokens, or choose a smaller model",
    ),
    (
        re.compile(
            r"Free memory on device \S+ \((?P<free>[\d.]+)/(?P<total>[\d.]+) GiB\) on startup"
            r".*?\((?P<share>[\d.]+),"
        ),
        lambda found: (
            f"only {found['free']} of the GPU's {found['total']} GiB are free, which is less than "
            f"its share of {found['share']}; end what else uses the GPU, or lower gpu_memory_share"
        ),
    ),
    (
        re.compile(
            r"Available memory on node \d+ \((?P<free>[\d.]+)/[\d.]+ GiB\) on kv cache allocation "
            r"is less than requested memory for kv \((?P<wanted>[\d.]+)"
        ),
        lambda found: (
            f"its context needs {found['wanted']} GiB of memory and {found['free']} GiB are free; "
            "lower kv_cache_gib, context_tokens or slots"
        ),
    ),
    (
        re.compile(r"(?i)CUDA out of memory|torch\.OutOfMemoryError|CUBLAS_STATUS_ALLOC_FAILED"),
        "the GPU's memory is too small for it; lower context_tokens or slots, divide the model "
        "with tensor_parallel, or choose a smaller one",
    ),
    (
        re.compile(
            r"(?i)can't allocate memory|DefaultCPUAllocator: not enough memory"
            r"|Not enough memory|std::bad_alloc|Cannot allocate memory|MemoryError"
        ),
        "this machine's memory is too small for it; lower kv_cache_gib, context_tokens or slots, "
        "or choose a smaller model",
    ),
    (
        re.compile(
            r"(?i)CUDA driver version is insufficient|NVIDIA driver on your system is too old"
        ),
        "the NVIDIA driver is too old for this vLLM; update the driver and restart the machine",
    ),
    (
        re.compile(r"(?i)no kernel image is available|compute capability (?P<cc>\d+\.?\d*)?"),
        'this GPU\'s compute capability is not supported by this vLLM; use engine = "llamacpp"',
    ),
    (
        re.compile(
            r"(?i)No CUDA GPUs are available|Found no NVIDIA driver|no CUDA-capable device"
            r"|libcuda\.so\.1: cannot open"
        ),
        "it sees no CUDA device; look at nvidia-smi, and at CUDA_VISIBLE_DEVICES",
    ),
    (
        re.compile(r"Failed to infer device type"),
        "it found no device that it was built for; install it again: byoi engines remove vllm, "
        "then byoi engines install vllm",
    ),
    (
        re.compile(
            r"(?P<sizes>World size \(\d+\) is larger than the number of available GPUs \(\d+\))"
            r"|tensor parallel size.*(?:available|must be)"
        ),
        "tensor_parallel asks for more GPUs than it can use; lower it",
    ),
    (
        re.compile(
            r"attention heads \((\d+)\) must be divisible by tensor parallel size \((\d+)\)"
        ),
        lambda found: (
            f"the model's {found[1]} attention heads cannot be divided over {found[2]} GPUs; "
            "choose another tensor_parallel"
        ),
    ),
    (
        re.compile(r"max_model_len \((\d+)\) is greater than the derived max_model_len.*?=(\d+)"),
        lambda found: (
            f"the model was made for a context of {found[2]} tokens, not {found[1]}; "
            f"set context_tokens to {found[2]} or less"
        ),
    ),
    (
        re.compile(r"(?i)Model architectures \[?'?([\w']+).*not supported"),
        lambda found: (
            f"this vLLM does not know the model's architecture ({found[1].strip(chr(39))})"
        ),
    ),
    (
        re.compile(r"(?i)does not recognize this architecture"),
        "this vLLM does not know the model's architecture; choose another model",
    ),
    (
        re.compile(r"(?i)gated repo|is not a local folder and is not a valid|Repo id must be"),
        "the model's files are not here; download it first, and give its folder as --model",
    ),
    (
        re.compile(r"(?i)Cannot find any model weights|No such file.*safetensors"),
        "the model's folder holds no weights; download the model again",
    ),
    (
        re.compile(r"(?i)invalid repository id|config\.json|Can't load the configuration"),
        "the model's folder cannot be read as a model; download the model again",
    ),
    (
        re.compile(r"(?i)SafetensorError|Error while deserializing header|InvalidHeader"),
        "a file of the model's weights is damaged; download the model again",
    ),
    (
        re.compile(r"invalid (?:tool call|reasoning) parser: (\S+)"),
        lambda found: f"this vLLM knows no parser {found[1]}; choose another version of vllm",
    ),
    (
        re.compile(r"(?i)Address already in use"),
        "its socket is taken by another process; end that one, or choose another runtime_dir",
    ),
    (
        re.compile(r"(?i)AF_UNIX path too long|path too long"),
        "the path of its socket is too long; choose a shorter runtime_dir",
    ),
    (
        re.compile(
            r"(?i)\.so[.\d]*: (?:undefined symbol|cannot open shared object)|torchvision::nms"
        ),
        "its environment does not fit together; install it again: byoi engines remove vllm, then "
        "byoi engines install vllm",
    ),
    (
        re.compile(r"No module named '?(\w+)"),
        "its environment is damaged; install it again: byoi engines remove vllm, then "
        "byoi engines install vllm",
    ),
    (
        re.compile(r"No space left on device"),
        "the disk is full; make room and it is started again",
    ),
)

# Its own log's form. A start that goes well warns of parts that are missing, and ended nothing.
_NO_ERROR: Final = re.compile(r"\b(?:DEBUG|INFO|WARNING) \d\d-\d\d \d\d:\d\d:\d\d ")


def reason_in(lines: Iterable[str]) -> str | None:
    """The first known cause, by the order of the table, as a later line often only follows from it.

    None where nothing there is known.
    """
    text = [line for line in lines if line and not _NO_ERROR.search(line)]
    for pattern, tell in _KNOWN:
        for line in text:
            if (found := pattern.search(line)) is not None:
                return tell if isinstance(tell, str) else tell(found)
    return None


def last_error(lines: Iterable[str]) -> str | None:
    """The last line that names an exception, without what stands before it."""
    last = None
    for line in lines:
        if _NO_ERROR.search(line):
            continue
        if (found := re.search(r"\b([A-Z]\w*(?:Error|Exception): .*)", line)) is not None:
            last = found[1]
    return last
