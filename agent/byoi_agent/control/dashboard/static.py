"""The style sheets, scripts and the icon: read once, named by their content, kept by browsers."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Mapping

_FOLDER: Final = Path(__file__).parent / "static"
_TYPES: Final = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
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


async def serve(request: web.Request) -> web.Response:
    """Only what lies in the folder at the start is ever served.

    Raises:
        web.HTTPNotFound: there is no such file.
    """
    found = _files().get(request.match_info["name"])
    if found is None:
        raise web.HTTPNotFound
    tag = f'"{found.version}"'
    is_named = request.query.get("v") == found.version
    headers = {"ETag": tag, "Cache-Control": _FOR_EVER if is_named else _ASK_AGAIN}
    if request.headers.get("If-None-Match") == tag:
        return web.Response(status=304, headers=headers)
    return web.Response(
        body=found.body, headers=headers, content_type=found.media_type, charset="utf-8"
    )


@lru_cache(maxsize=1)
def _files() -> Mapping[str, _File]:
    return {path.name: _read(path) for path in _FOLDER.iterdir() if path.suffix in _TYPES}


def _read(path: Path) -> _File:
    body = path.read_bytes()
    return _File(body, _TYPES[path.suffix], hashlib.sha256(body).hexdigest()[:16])
