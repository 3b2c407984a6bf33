"""Whether this process lives and can serve, for load balancers; and a first page for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.requests import Request

    from byoi_console.api.services import Services

_PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>byoi console</title>
<style>
body { max-width: 40rem; margin: 4rem auto; padding: 0 1rem; line-height: 1.5;
       font-family: system-ui, sans-serif; color-scheme: light dark; }
</style>
<h1>byoi console</h1>
<p>This is a byoi console. It takes requests in OpenAI's format at <code>/v1</code> and sends them
to the nodes that are enrolled here.</p>
<ul>
<li>Ask a model: point any OpenAI client at <code>/v1</code> with an API key of this console.</li>
<li>Look after it: <code>/api/keys</code>, <code>/api/join-tokens</code>, <code>/api/nodes</code>
and <code>/api/usage</code>, with an admin key.</li>
<li>Is it well? <a href="/healthz">/healthz</a> and <a href="/readyz">/readyz</a>.</li>
</ul>
<p>How all of this works is told in the <code>docs/</code> folder of the byoi repository.</p>
</html>
"""
_PAGE_HEADERS: Final = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


class HealthRoutes:
    """The routes; anybody may ask."""

    def __init__(self, services: Services) -> None:
        self._services = services

    @property
    def routes(self) -> list[Route]:
        """For Starlette."""
        return [
            Route("/", self.page, methods=["GET"]),
            Route("/healthz", self.alive, methods=["GET"]),
            Route("/readyz", self.ready, methods=["GET"]),
        ]

    async def page(self, _request: Request) -> Response:
        """What this is, and where to go on."""
        return HTMLResponse(_PAGE, headers=_PAGE_HEADERS)

    async def alive(self, _request: Request) -> Response:
        """The process answers."""
        return JSONResponse({"status": "ok"})

    async def ready(self, _request: Request) -> Response:
        """New requests can be served and booked here."""
        reason = await self._services.why_not_ready()
        if reason is None:
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": "not ready", "reason": reason}, 503)
