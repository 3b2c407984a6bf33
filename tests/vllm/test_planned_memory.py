"""What the planner says of a model against what a real vLLM makes of it."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket

import platformdirs
import pytest

from byoi_agent.engine.kinds.metrics import read_load
from byoi_agent.engine.model_facts import facts_at
from byoi_agent.models.catalogue import CATALOGUE
from byoi_agent.models.conversion import converted_folder
from byoi_agent.models.headers import config_in
from byoi_agent.planning.cache import bytes_per_token
from byoi_agent.planning.facts import from_config
from byoi_agent.planning.machines import GIB
from byoi_agent.planning.overheads import keeping


@pytest.fixture
def folder(machine):
    cache = machine.env.get("BYOI_CACHE_DIR") or platformdirs.user_cache_path("byoi")
    return converted_folder(CATALOGUE[0], type(machine.folder)(cache) / "models")


class Unix(http.client.HTTPConnection):
    """To the engine itself."""

    def __init__(self, path) -> None:
        super().__init__("engine", timeout=60)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(self._path)


def metrics_of(demo):
    with contextlib.closing(Unix(demo.socket)) as connection:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()


def cache_of(demo):
    """The labels of its cache_config_info."""
    text = metrics_of(demo)
    [line] = re.findall(r"^vllm:cache_config_info\{(.*)\} ", text, re.MULTILINE)
    return dict(re.findall(r'(\w+)="([^"]*)"', line))


def test_weights_from_the_config_alone_are_within_two_percent_of_the_files(folder):
    alone = from_config("smollm2", config_in(folder))
    on_disk = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    assert alone.weight_bytes == pytest.approx(on_disk, rel=0.02)
    assert facts_at(folder).weight_bytes == alone.weight_bytes


def test_tokens_in_the_context_s_memory_are_as_many_as_vllm_makes_of_it(demo, folder):
    labels = cache_of(demo)
    kept = keeping("vllm", is_cpu=True)
    assert int(labels["block_size"]) == kept.block_tokens
    block_bytes = kept.block_tokens * bytes_per_token(facts_at(folder).memories, kept)
    tokens = GIB // block_bytes * kept.block_tokens
    assert tokens == pytest.approx(int(labels["kv_cache_size_tokens"]), rel=0.02)
    assert read_load(metrics_of(demo)).held_tokens == int(labels["kv_cache_size_tokens"])
