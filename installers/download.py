"""Locked files from the index, each kept under the hash that the lock gives it."""

from __future__ import annotations

import base64
import hashlib
import http.client
import os
import re
import shutil
import ssl
import tempfile
import urllib.parse
import urllib.request
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from packaging.pylock import PackageWheel

ATTEMPTS = 3
TIMEOUT_SECONDS = 60
_UNREAD = (OSError, http.client.HTTPException)
"""What nobody answers, or an answer that was cut off: another try may go better."""


def folder() -> Path:
    """Where downloads are kept between builds."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base, "byoi-build", "wheels")


def kept_at(wheel: PackageWheel) -> Path:
    """Where the file is, or would be."""
    return folder() / wheel.hashes["sha256"] / wheel.filename


def cached(wheel: PackageWheel) -> Path:
    """The file, downloaded at most once.

    Raises:
        SystemExit: no address has it, or what came is not what the lock says.
    """
    kept = kept_at(wheel)
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        _fetch(wheel, wheel.hashes["sha256"], kept)
    return kept


def _fetch(wheel: PackageWheel, wanted: str, kept: Path) -> None:
    failures = []
    for address in _addresses(wheel):
        try:
            data = _read(address)
        except _UNREAD as error:
            failures.append(f"{address}: {error}")
            continue
        if (found := hashlib.sha256(data).hexdigest()) != wanted:
            raise SystemExit(f"{address} has SHA-256 {found}, and uv.lock says {wanted}")
        with tempfile.NamedTemporaryFile(dir=kept.parent, delete=False) as file:
            file.write(data)
        shutil.move(file.name, kept)
        return
    raise SystemExit("\n".join([f"{wheel.filename} could not be downloaded:", *failures]))


def _addresses(wheel: PackageWheel) -> Iterator[str]:
    """The caller's own index first, where one is named, then the address in the lock."""
    index = os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("PIP_INDEX_URL")
    if index:
        name = re.sub(r"[-_.]+", "-", wheel.filename.split("-")[0]).lower()
        page = f"{index.rstrip('/')}/{name}/"
        try:
            links = re.findall(r'href="([^"]+)"', _read(page).decode())
        except _UNREAD:
            links = []
        for link in links:
            if urllib.parse.unquote(urllib.parse.urlsplit(link).path).endswith(wheel.filename):
                yield urllib.parse.urljoin(page, link)
    for _ in range(ATTEMPTS):
        yield str(wheel.url)


def _read(address: str) -> bytes:
    parts = urllib.parse.urlsplit(address)
    host = parts.netloc.rpartition("@")[2]
    request = urllib.request.Request(parts._replace(netloc=host).geturl())  # noqa: S310
    if parts.username:
        pair = (
            f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
        )
        request.add_header("Authorization", f"Basic {base64.b64encode(pair.encode()).decode()}")
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS, context=_trust()) as answer:  # noqa: S310
        return bytes(answer.read())


@cache
def _trust() -> ssl.SSLContext:
    """The system's certificates, or those that pip is told of."""
    return ssl.create_default_context(cafile=os.environ.get("PIP_CERT") or None)
