from __future__ import annotations

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from byoi_agent.control.dashboard.live import Parts, tell
from byoi_agent.control.events import Events
from byoi_agent.control.feed import Event
from byoi_agent.control.manners import tells_refusals
from byoi_agent.control.routing import Nothing
from byoi_agent.errors import AgentError


async def test_a_page_that_cannot_be_made_any_more_ends_its_stream_in_good_order():
    events = Events(None, lambda _heard: lambda: None)
    found = [Parts({"here": "<p>on</p>"})]

    async def look(_request):
        if not found:
            raise AgentError("the disk does not answer")
        events.put(Event("status", Nothing()))
        return found.pop()

    async def live(request):
        return await tell(request, events, look)

    app = web.Application(middlewares=[tells_refusals(None)])
    app.router.add_get("/live", live)
    async with TestClient(TestServer(app)) as client:
        heard = await (await client.get("/live")).read()
    assert heard.startswith(b":\n\nevent: parts\n")
    assert heard.endswith(b"}\n\n")
    assert events.is_idle
