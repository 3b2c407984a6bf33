from __future__ import annotations

import pytest


@pytest.fixture
async def proxy_to(helper):
    """Make TCP proxies to an address; all are gone at the end."""
    proxies = []

    async def make(host: str, port: int):
        proxy = helper("tcp_proxy").TcpProxy(host, port)
        await proxy.start()
        proxies.append(proxy)
        return proxy

    yield make
    for proxy in proxies:
        await proxy.stop()
