"""Turns a GGUF file into a folder of safetensors, run inside an engine's environment.

`python convert_gguf.py OPTIONS` where OPTIONS is one JSON object: `file`, `target`, and the
`chat_template` that takes the place of the file's own. Imports nothing of ours.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

# The engine's environment has them; the agent's own never does, nor may it.
torch = importlib.import_module("torch")
transformers = importlib.import_module("transformers")


def main() -> None:
    """Write the model's weights, settings and tokenizer into the target."""
    options = json.loads(sys.argv[1])
    file, target = Path(options["file"]), options["target"]
    where = {"gguf_file": file.name, "local_files_only": True, "trust_remote_code": False}
    tokenizer = transformers.AutoTokenizer.from_pretrained(file.parent, **where)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        file.parent, dtype=torch.bfloat16, **where
    )
    # Its weights are no longer quantised; left alone, saving them would be refused.
    model.hf_quantizer = None
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    if options["chat_template"]:
        tokenizer.chat_template = options["chat_template"]
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)


if __name__ == "__main__":
    main()
