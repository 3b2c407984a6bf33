"""llama.cpp's own server, run inside the engine's environment; imports nothing of ours.

`python serve_llamacpp.py OPTIONS` where OPTIONS is one JSON object (see `llamacpp.serve_options`).
The socket's path must be short (108 bytes on Linux) and end in `.sock`, by which llama.cpp knows
that it is a path and not a host name.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

# Spinning OpenMP threads starve everything else on a small machine: 38 tokens/s against 2 measured.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import xllamacpp

_BATCH_TOKENS = 1024
_LOOK_SECONDS = 0.5 if sys.platform == "win32" else None


def parameters(options: dict[str, Any]) -> xllamacpp.CommonParams:
    """Turn our options into llama.cpp's."""
    params = xllamacpp.CommonParams()
    params.model.path = options["model_path"]
    params.model_alias = {options["model_id"]}
    params.hostnames = [options["socket_path"]]
    if "port" in options:  # where there are no unix sockets: for whoever has the key
        params.hostnames, params.port = ["127.0.0.1"], options["port"]
        params.api_keys = [os.environ.pop("BYOI_ENGINE_KEY")]
    params.n_parallel = options["slots"]
    params.n_ctx = options["slots"] * options["context_tokens"]  # the total, divided among slots
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = options["threads"]
    params.n_predict = options["context_tokens"]  # without a cap a rambling model never ends
    if options.get("chat_template"):
        params.chat_template = options["chat_template"]
    for name, value in options.get("sampling", {}).items():
        setattr(params.sampling, name, value)
    # An embedding's input must fit into one batch, and each of its tokens costs 200 kB once used.
    batch = min(options["context_tokens"], _BATCH_TOKENS)
    # What is pooled is dealt out to the slots evenly: llama.cpp aborts on a batch with a remainder.
    params.n_batch = params.n_ubatch = max(1, batch // options["slots"]) * options["slots"]
    params.embedding = True
    params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    params.endpoint_metrics = params.endpoint_slots = True
    # To fit the layers to a GPU it reads the model twice, a quarter of a start: for Macs alone.
    params.fit_params = sys.platform == "darwin"
    params.ui = False
    params.verbosity = 2
    return params


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    options = json.loads(sys.argv[1])
    stop = threading.Event()
    # Windows' gentle end is Ctrl-Break.
    for number in (signal.SIGTERM, signal.SIGINT, getattr(signal, "SIGBREAK", signal.SIGINT)):
        signal.signal(number, lambda *_: stop.set())
    path = Path(options["socket_path"])
    with suppress(FileNotFoundError):
        path.unlink()  # of an engine that was killed
    os.umask(0o177)  # the socket is born 0600
    server = xllamacpp.Server(parameters(options))
    while not stop.wait(_LOOK_SECONDS):  # on Windows a wait without end keeps signals waiting too
        pass
    del server
    with suppress(FileNotFoundError):
        path.unlink()


if __name__ == "__main__":
    main()
