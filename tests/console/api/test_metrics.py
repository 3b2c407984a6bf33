from __future__ import annotations

import dataclasses

from byoi_console.api.app import build_api


async def test_an_admin_s_key_may_scrape(api):
    answer = await api("GET", "/metrics")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4"
    assert answer.body == b"for None\n"


async def test_nobody_else_may(api, rooms, org_id):
    assert (await api("GET", "/metrics", authorization=None)).status == 401
    made = (await api("POST", "/api/keys", {"name": "client"})).json
    assert (await api("GET", "/metrics", authorization=f"Bearer {made['key']}")).status == 403


async def test_everybody_may_where_the_operator_says_so(api, rooms):
    services = dataclasses.replace(rooms.services, metrics_are_public=True)
    api.app = build_api(services)
    assert (await api("GET", "/metrics", authorization=None)).status == 200
