"""LoRA adapters on disk, as PEFT writes them, for a model as narrow or wide as a test wants."""

from __future__ import annotations

import json
import random
import struct

SETTINGS = {
    "peft_type": "LORA",
    "task_type": "CAUSAL_LM",
    "r": 8,
    "lora_alpha": 64,
    "target_modules": ["q_proj", "v_proj"],
    "bias": "none",
    "modules_to_save": None,
}


def write_adapter(folder, *, rank=8, layers=2, hidden=16, values=16, scale=0.3, **settings):
    """Random weights over q_proj and v_proj; `values` is how wide the values are."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for layer in range(layers):
        for module, width in (("q_proj", hidden), ("v_proj", values)):
            name = f"base_model.model.model.layers.{layer}.self_attn.{module}"
            tensors[f"{name}.lora_A.weight"] = (rank, hidden)
            tensors[f"{name}.lora_B.weight"] = (width, rank)
    write_weights(folder, tensors, scale)
    (folder / "adapter_config.json").write_text(json.dumps({**SETTINGS, "r": rank, **settings}))
    return folder


def write_weights(folder, tensors, scale=0.3):
    """`adapter_model.safetensors` of these names and shapes."""
    rng = random.Random(1)
    header, data = {"__metadata__": {"format": "pt"}}, bytearray()
    for name, shape in tensors.items():
        count = 1
        for length in shape:
            count *= length
        begin = len(data)
        data += struct.pack(f"<{count}f", *(rng.uniform(-scale, scale) for _ in range(count)))
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, len(data)]}
    head = json.dumps(header).encode()
    written = struct.pack("<Q", len(head)) + head + data
    (folder / "adapter_model.safetensors").write_bytes(written)
