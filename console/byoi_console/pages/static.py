"""The style sheet, scripts and pictures: read once, named by their content, kept by browsers."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

_FOLDER: Final = Path(__file__).parent / "static"
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_ASK_AGAIN: Final = "public, no-cache"


class _File(NamedTuple):
    body: bytes
    media_type: str
    version: str


def static_url(name: str) -> str:
    """Where a file lies; another content is another URL, so that no browser shows an old one."""
    return f"/static/{name}?v={_files()[name].version}"


def static_routes() -> list[Route]:
    """For Starlette; only what lies in the folder at the start is ever served."""
    return [Route("/static/{name}", _serve, methods=["GET"])]


async def _serve(request: Request) -> Response:
    found = _files().get(request.path_params["name"])
    if found is None:
        raise HTTPException(404)
    tag = f'"{found.version}"'
    is_named = request.query_params.get("v") == found.version
    headers = {"etag": tag, "cache-control": _FOR_EVER if is_named else _ASK_AGAIN}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(found.body, headers=headers, media_type=found.media_type)


@lru_cache(maxsize=1)
def _files() -> Mapping[str, _File]:
    return {path.name: _read(path) for path in _FOLDER.iterdir() if path.suffix in _TYPES}


def _read(path: Path) -> _File:
    body = path.read_bytes()
    return _File(body, _TYPES[path.suffix], hashlib.sha256(body).hexdigest()[:16])
