"""A hub such as models come from, small and ill-behaved on demand.

It speaks the routes that huggingface_hub asks: a model's files at a revision, and each file, which
a redirection sends to another host. What it does wrong is queued for each file: the first request
takes the first fault, and whoever finds the queue empty is served as it should be.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import struct
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

COMMIT = "a" * 40
CHUNK = 64 * 1024


def safetensors(size: int = 64, name: str = "w", fill: bytes = b"\x07") -> bytes:
    """A file of one tensor of so many bytes."""
    header = json.dumps({name: {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}})
    return struct.pack("<Q", len(header)) + header.encode() + fill * size


def gguf(
    *,
    pairs: dict[str, tuple[int, bytes]] | None = None,
    size: int = 64,
    version: int = 3,
) -> bytes:
    """A file of one tensor of so many bytes; `pairs` are keys with their kind and raw value."""
    given = {
        "general.architecture": (8, text("llama")),
        "llama.context_length": (4, struct.pack("<I", 4096)),
        **(pairs or {}),
    }
    head = b"GGUF" + struct.pack("<IQQ", version, 1, len(given))
    for key, (kind, raw) in given.items():
        head += text(key) + struct.pack("<I", kind) + raw
    head += text("w") + struct.pack("<IQIQ", 1, size, 24, 0)
    return head + bytes(-len(head) % 32) + b"\x07" * size


def text(value: str | bytes) -> bytes:
    """As GGUF has it."""
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


@dataclass
class Repo:
    """One repository; `commits` by revision, `files` by commit."""

    files: dict[str, dict[str, bytes]]
    commits: dict[str, str]
    gated: bool = False
    private: bool = False
    token: str = "hf_right"
    listed: dict[str, Any] = field(default_factory=dict)
    """What the list says in place of the truth, by file."""


class FakeHub:
    """Sole owner of the repositories and of the faults."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.faults: dict[str, deque[str]] = defaultdict(deque)
        self.asked: list[tuple[str, str, str | None, str | None]] = []
        """Kind, file, range, token of each request."""
        self.bytes_sent = 0
        self.chunk_seconds = 0.0
        self.url = ""
        self.tells = "list"
        """Which answer has sizes and digests: list, tree (in pages), headers, or lengths alone."""
        self.knows_only_revisions = False
        self.compresses = False
        """Whether it sends what was compressed, and that length, to who takes it."""
        self.goes_on_at: str | None = None
        """Where the tree goes on, in place of its next page."""
        self._runner: web.AppRunner | None = None

    def add(self, repo: str, files: dict[str, bytes], commit: str = COMMIT, **how: Any) -> Repo:
        """A repository whose main is at `commit`."""
        self.repos[repo] = Repo({commit: files}, {"main": commit, commit: commit}, **how)
        return self.repos[repo]

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/api/models/{owner}/{name}", self._list)
        app.router.add_get("/api/models/{owner}/{name}/revision/{revision:.*}", self._list)
        app.router.add_get("/api/models/{owner}/{name}/tree/{commit}", self._tree)
        app.router.add_get("/{owner}/{name}/resolve/{commit}/{file:.*}", self._resolve)
        app.router.add_get("/cdn/{owner}/{name}/{commit}/{file:.*}", self._file)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    def _repo(self, request: web.Request) -> tuple[str, Repo | web.Response]:
        name = f"{request.match_info['owner']}/{request.match_info['name']}"
        repo = self.repos.get(name)
        token = request.headers.get("authorization")
        if repo is None or (repo.private and token is None):
            return name, _error(401 if token is None else 404, "RepoNotFound")
        if repo.gated and token != f"Bearer {repo.token}":
            return name, _error(401 if token is None else 403, "GatedRepo")
        return name, repo

    async def _list(self, request: web.Request) -> web.StreamResponse:
        name, repo = self._repo(request)
        self._note("list", name, request)
        if fault := self._fault(f"list:{name}"):
            return await self._misbehave(request, fault, b"")
        if isinstance(repo, web.Response):
            return repo
        if self.knows_only_revisions and "revision" not in request.match_info:
            return web.Response(status=404)
        commit = repo.commits.get(request.match_info.get("revision", "main"))
        if commit is None:
            return _error(404, "RevisionNotFound")
        files = {
            **repo.files[commit],
            **{n: b"" for n in repo.listed if n not in repo.files[commit]},
        }
        siblings = [self._sibling(n, raw, repo.listed.get(n)) for n, raw in files.items()]
        if self.tells != "list":
            siblings = [{"rfilename": one["rfilename"]} for one in siblings]
        return web.json_response(
            {"id": name, "sha": commit, "siblings": siblings, "private": False}
        )

    async def _tree(self, request: web.Request) -> web.StreamResponse:
        name, repo = self._repo(request)
        self._note("tree", name, request)
        if isinstance(repo, web.Response) or self.tells != "tree":
            return web.Response(status=404)
        files = sorted(repo.files[request.match_info["commit"]].items())
        page = int(request.query.get("page", 0))
        entries: list[dict[str, Any]] = [{"type": "directory", "path": "onnx", "oid": "0" * 40}]
        for file, raw in files[page * 6 : page * 6 + 6]:
            told = self._sibling(file, raw, None)
            large = told.get("lfs")
            entry = {"type": "file", "path": file, "size": told["size"], "oid": told["blobId"]}
            entries.append(
                entry if large is None else {**entry, "lfs": {**large, "oid": large["sha256"]}}
            )
        following = self.goes_on_at or f"{self.url}{request.path}?page={page + 1}"
        headers = {"link": f'<{following}>; rel="next"'} if page * 6 + 6 < len(files) else {}
        return web.json_response(entries, headers=headers)

    def _sibling(self, name: str, raw: bytes, instead: dict[str, Any] | None) -> dict[str, Any]:
        git = hashlib.sha1(b"blob %d\0" % len(raw) + raw).hexdigest()
        entry: dict[str, Any] = {"rfilename": name, "size": len(raw), "blobId": git}
        if name.endswith((".safetensors", ".gguf", ".bin")):
            sha = hashlib.sha256(raw).hexdigest()
            entry["lfs"] = {"sha256": sha, "size": len(raw), "pointerSize": 134}
        return {**entry, **(instead or {})}

    async def _resolve(self, request: web.Request) -> web.StreamResponse:
        name, repo = self._repo(request)
        file, commit = request.match_info["file"], request.match_info["commit"]
        if isinstance(repo, web.Response):
            self._note("resolve", file, request)
            return repo
        raw = repo.files.get(commit, {}).get(file)
        if raw is None or (self.faults[file] and self.faults[file][0] == "gone"):
            return _error(404, "EntryNotFound")
        self._note("resolve" if request.method == "GET" else "head", file, request)
        if request.method == "HEAD" and self.tells == "lengths":
            headers = {"etag": '"made-up"'}
            if self.compresses and "gzip" in request.headers.get("accept-encoding", ""):
                headers["content-encoding"] = "gzip"
                raw = gzip.compress(raw)
            return web.Response(body=raw, headers=headers)
        if request.method == "HEAD" and not file.endswith((".safetensors", ".gguf")):
            told = self._sibling(file, raw, None)["blobId"]
            return web.Response(body=raw, headers={"etag": f'W/"{told}"', "x-repo-commit": commit})
        if file.endswith((".safetensors", ".gguf")):
            headers = {
                "location": f"http://localhost:{self.port}/cdn/{name}/{commit}/{file}",
                "x-repo-commit": commit,
                "x-linked-size": str(len(raw)),
                "x-linked-etag": f'"{hashlib.sha256(raw).hexdigest()}"',
            }
            return web.Response(status=302, headers=headers)
        return await self._answer(request, file, raw)

    async def _file(self, request: web.Request) -> web.StreamResponse:
        found = request.match_info
        repo = self.repos[f"{found['owner']}/{found['name']}"]
        if request.method == "HEAD":
            return web.Response(headers={"content-length": "7"})  # not what counts
        self._note("cdn", found["file"], request)
        return await self._answer(
            request, found["file"], repo.files[found["commit"]][found["file"]]
        )

    async def _answer(self, request: web.Request, file: str, raw: bytes) -> web.StreamResponse:
        if fault := self._fault(file):
            return await self._misbehave(request, fault, raw)
        start, end = _range(request, len(raw))
        return await self._send(request, raw[start:end], start, len(raw), len(raw[start:end]))

    async def _misbehave(  # noqa: C901, PLR0911 a table of faults
        self, request: web.Request, fault: str, raw: bytes
    ) -> web.StreamResponse:
        kind, _, number = fault.partition(":")
        start, end = _range(request, len(raw))
        part = raw[start:end]
        match kind:
            case "break":  # so many bytes of what was promised
                return await self._send(request, part, start, len(raw), int(number))
            case "stall":
                return await self._send(request, part, start, len(raw), int(number), stalls=True)
            case "corrupt":
                wrong = bytes(len(part))
                return await self._send(request, wrong, start, len(raw), len(wrong))
            case "longer":  # no length, and more than there is
                return await self._send_unmeasured(request, raw + b"x" * int(number))
            case "shorter":
                return await self._send_unmeasured(request, raw[: -int(number)])
            case "says":  # another length than is listed
                return web.Response(body=raw + b"x" * int(number))
            case "whole":  # a range was asked for, and all comes
                return web.Response(body=raw)
            case "astray":  # another range than was asked for
                headers = {"content-range": f"bytes 0-{len(part) - 1}/{len(raw)}"}
                return web.Response(status=206, body=raw[: len(part)], headers=headers)
            case "wait":
                return web.Response(status=429, headers={"retry-after": number})
            case "body":
                return web.Response(text=number)
            case _:
                return web.Response(status=int(kind), text="no")

    async def _send(
        self, request: web.Request, part: bytes, start: int, total: int, count: int, *, stalls=False
    ) -> web.StreamResponse:
        """All headers in order; of the body `count` bytes, and then the line breaks."""
        is_range = "range" in request.headers
        headers = {"content-length": str(len(part)), "accept-ranges": "bytes"}
        if is_range:
            headers["content-range"] = f"bytes {start}-{start + len(part) - 1}/{total}"
        response = web.StreamResponse(status=206 if is_range else 200, headers=headers)
        await response.prepare(request)
        for at in range(0, count, CHUNK):
            piece = part[at : min(at + CHUNK, count)]
            await response.write(piece)
            self.bytes_sent += len(piece)
            await asyncio.sleep(self.chunk_seconds)
        if stalls:
            await asyncio.sleep(3600)
        if count < len(part):
            assert request.transport is not None
            request.transport.close()
        return response

    async def _send_unmeasured(self, request: web.Request, raw: bytes) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(raw)
        return response

    def _fault(self, key: str) -> str | None:
        queue = self.faults[key]
        return queue.popleft() if queue else None

    def _note(self, kind: str, file: str, request: web.Request) -> None:
        headers = request.headers
        self.asked.append((kind, file, headers.get("range"), headers.get("authorization")))


def _range(request: web.Request, size: int) -> tuple[int, int]:
    asked = request.headers.get("range")
    if asked is None:
        return 0, size
    start, _, end = asked.removeprefix("bytes=").partition("-")
    return int(start), min(int(end) + 1, size) if end else size


def _error(status: int, code: str) -> web.Response:
    return web.Response(status=status, headers={"x-error-code": code, "x-error-message": code})
