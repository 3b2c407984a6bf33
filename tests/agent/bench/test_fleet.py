from __future__ import annotations

import json

import pytest

from byoi_agent.bench.fleet import Fleet, Node, api_key, read_fleet, sum_of
from byoi_agent.errors import ConfigError, IdentityError
from byoi_agent.identity.console_http import ConsoleHttp, Reply

GIB = 1 << 30


def measured(flops):
    return {
        "measured": {
            "at_ms": 1,
            "engine": "vllm 0.32.0",
            "first_token_ms": 50,
            "decode_tokens_per_second": 30,
            "knee_concurrency": 8,
            "knee_tokens_per_second": 200,
            "flops": flops,
        }
    }


def gpu(index, memory=24 * GIB):
    return {"index": index, "kind": "nvidia", "name": "GPU", "memory_total_bytes": memory}


HOST = {"os": "Linux", "architecture": "x86_64", "memory_total_bytes": 64 * GIB}
NODES = [
    {
        "state": "online",
        "models": [measured(5e12), measured(7e12), {}],
        "devices": [gpu(0), gpu(1)],
    },
    {"state": "online", "models": [measured(1e12)], "devices": [], "host": HOST},
    {"state": "online", "models": [measured(None), {"measured": None}], "devices": [gpu(0, None)]},
    {"state": "offline", "models": [measured(9e12)], "devices": []},
]


def test_nodes_add_up_and_a_node_s_models_do_not():
    fleet = sum_of(Node.model_validate(node) for node in NODES)
    assert fleet == Fleet(3, 2, 8e12, 56 * GIB, offline=1)
    assert fleet.unmeasured == 1


def test_nobody_online_is_nothing():
    assert sum_of([]) == Fleet(0, 0, 0, None)


async def test_the_console_s_list_is_read(monkeypatch):
    async def get(self, path, key, limit):
        assert (path, key) == ("/api/nodes", "key")
        return Reply(200, json.dumps({"object": "list", "data": NODES}).encode())

    monkeypatch.setattr(ConsoleHttp, "get", get)
    assert (await read_fleet(ConsoleHttp("https://c"), "key")).measured == 2


async def test_a_key_that_may_not_is_told_so(monkeypatch):
    async def get(self, path, key, limit):
        return Reply(403, b'{"error": {"message": "An administrator\'s key is needed."}}')

    monkeypatch.setattr(ConsoleHttp, "get", get)
    with pytest.raises(IdentityError, match=r"refused to list its nodes: An administrator's key"):
        await read_fleet(ConsoleHttp("https://c"), "key")


def test_the_key_comes_from_the_environment():
    assert api_key({"BYOI_API_KEY": " byoi-x \n"}) == "byoi-x"
    with pytest.raises(ConfigError, match="set BYOI_API_KEY"):
        api_key({})
