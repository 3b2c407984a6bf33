from __future__ import annotations

import importlib.util
import sys
import tempfile
from pathlib import Path

import pytest


def _load(name: str):
    """A helper module of this folder (tests are no package, so it is loaded by its file)."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture
async def proxy_to():
    """Make TCP proxies to an address; all are gone at the end."""
    proxies = []

    async def make(host: str, port: int):
        proxy = _load("tcp_proxy").TcpProxy(host, port)
        await proxy.start()
        proxies.append(proxy)
        return proxy

    yield make
    for proxy in proxies:
        await proxy.stop()


@pytest.fixture
async def deployment(tmp_path, tmp_path_factory):
    """A console and nodes as processes; the test starts what it needs."""
    with tempfile.TemporaryDirectory(prefix="byoi-", dir="/tmp") as runtime:
        async with _load("deployment").Deployment(tmp_path, Path(runtime)) as deployment:
            yield deployment


@pytest.fixture
def is_alive():
    return _load("deployment").is_alive
