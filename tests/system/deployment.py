"""A console and its nodes as processes, started the way an operator starts them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import aiohttp
import psutil

if TYPE_CHECKING:
    import ssl

BIN = Path(sys.executable).parent
FAKE_ENGINE = Path(__file__).parent.parent / "fakes" / "engine.py"
STARTING_SECONDS = 90.0
KEPT = {"BYOI_CACHE_DIR"}
"""Settings of the machine: what was downloaded once serves every test."""

DATABASE = "console.sqlite3"


class Process:
    """One child with its log in a file; `ready` is what it wrote once it served."""

    def __init__(self, name: str, folder: Path, *argv: str | Path, env: dict[str, str]) -> None:
        self.name = name
        self.argv = [str(part) for part in argv]
        self.log = folder / f"{name}.log"
        self.env = env
        self.process: asyncio.subprocess.Process | None = None
        self.ready: dict[str, Any] = {}

    @property
    def pid(self) -> int:
        return self.process.pid

    async def start(
        self, ready_file: Path | None = None, seconds: float = STARTING_SECONDS
    ) -> Process:
        if ready_file is not None:
            ready_file.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self.argv, stdout=log, stderr=log, stdin=asyncio.subprocess.DEVNULL, env=self.env
            )
        if ready_file is not None:
            async with asyncio.timeout(seconds):
                while not ready_file.exists():
                    if self.process.returncode is not None:
                        raise AssertionError(f"{self.name} ended:\n{self.log.read_text()[-4000:]}")
                    await asyncio.sleep(0.05)
            self.ready = json.loads(ready_file.read_text())
        return self

    def kill(self) -> None:
        self.process.kill()

    async def stop(self, seconds: float = STARTING_SECONDS) -> int:
        """SIGTERM, and SIGKILL where that does not help."""
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.terminate()
            try:
                async with asyncio.timeout(seconds):
                    await self.process.wait()
            except TimeoutError:
                self.process.kill()
                await self.process.wait()
        return self.process.returncode

    async def wait(self, seconds: float) -> int:
        async with asyncio.timeout(seconds):
            return await self.process.wait()

    def children(self) -> list[psutil.Process]:
        try:
            return psutil.Process(self.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []


@dataclass
class Answer:
    """What a client saw of one request; `data` are the SSE events' payloads as they came."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    broken: str | None = None

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body)

    @property
    def data(self) -> list[str]:
        blocks = self.body.decode().split("\n\n")
        assert blocks[-1] == "", f"torn event: {blocks[-1]!r}"
        return [b.removeprefix("data: ") for b in blocks[:-1] if b.startswith("data: ")]

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(d) for d in self.data if d != "[DONE]"]

    @property
    def has_text(self) -> bool:
        """Also of a stream that has only begun."""
        return re.search(rb'"content": ?"[^"]', self.body) is not None

    @property
    def text(self) -> str:
        pieces = [
            choice["delta"].get("content") or ""
            for event in self.events
            for choice in event.get("choices", [])
        ]
        return "".join(pieces)

    @property
    def errors(self) -> list[dict[str, Any]]:
        return [event["error"] for event in self.events if "error" in event]

    @property
    def is_complete(self) -> bool:
        return (
            self.broken is None
            and self.status == 200
            and not self.errors
            and self.data[-1:] == ["[DONE]"]
        )

    @property
    def usage(self) -> dict[str, Any] | None:
        found = [event["usage"] for event in self.events if event.get("usage")]
        return found[-1] if found else None


class Deployment:
    """Everything that one test starts, and its clean end."""

    _administered: tuple[bytes, str] | None = None
    """A database with its administrator, and the key; made once, as that takes a start's time."""

    def __init__(self, folder: Path, runtime: Path) -> None:
        self.folder = folder
        self.runtime = runtime
        self.processes: list[Process] = []
        self.console: Process | None = None
        self.engine: Process | None = None
        self.console_port = 0
        self.admin_key = ""
        self.api_key = ""
        self.http: aiohttp.ClientSession | None = None
        self.tls: ssl.SSLContext | None = None
        self._model: str | None = None
        self.env = {
            **{k: v for k, v in os.environ.items() if k in KEPT or not k.startswith("BYOI_")},
            "BYOI_KEY_STORE": "file",
            "BYOI_RUNTIME_DIR": str(runtime),
            "PYTHONUNBUFFERED": "1",
        }

    async def __aenter__(self) -> Self:
        self.http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=300)
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.close()
        for process in reversed(self.processes):
            await process.stop()

    @property
    def url(self) -> str:
        scheme = "http" if self.tls is None else "https"
        return f"{scheme}://127.0.0.1:{self.console_port}"

    async def start_console(self, **options: str) -> Process:
        """The first start gets an administrator and a key; a later one finds them again."""
        data = self.folder / "console"
        if is_new := not self.admin_key:
            self.admin_key = await self._make_administrator(data)
        ready_file = self.folder / "console.ready"
        flags = [part for name, value in options.items() for part in (f"--{name}", value)]
        self.console = Process(
            "console",
            self.folder,
            BIN / "byoi-console",
            "serve",
            *("--port", str(self.console_port)),
            *("--data-dir", data),
            *("--ready-file", ready_file),
            *flags,
            env=self.env,
        )
        self.processes.append(self.console)
        await self.console.start(ready_file)
        self.console_port = int(self.console.ready["url"].rpartition(":")[2])
        if is_new:
            self.api_key = (await self.admin("POST", "/api/keys", {"name": "t"}))["key"]
        return self.console

    async def _make_administrator(self, data: Path) -> str:
        """In a console that was never started; returns the key."""
        file = data / DATABASE
        assert not file.exists()
        if Deployment._administered is None:
            made = await self.program(
                "byoi-console", "admin", "create", "--data-dir", data, "--email", "a@b.c", "--json"
            )
            Deployment._administered = file.read_bytes(), json.loads(made)["api_key"]
        content, key = Deployment._administered
        data.mkdir(mode=0o700, exist_ok=True)
        file.write_bytes(content)
        file.chmod(0o600)
        return key

    async def admin(self, method: str, path: str, body: object = None) -> Any:
        headers = {"Authorization": f"Bearer {self.admin_key}"}
        async with self.http.request(
            method, self.url + path, json=body, headers=headers, ssl=self.tls or True
        ) as response:
            text = await response.text()
            assert response.status < 300, (response.status, text)
            return json.loads(text) if text else None

    async def start_program(
        self, name: str, *argv: str | Path, **env: str
    ) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            BIN / name,
            *map(str, argv),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            stdin=asyncio.subprocess.DEVNULL,
            env={**self.env, **env},
        )

    async def program(self, name: str, *argv: str | Path, **env: str) -> str:
        process = await self.start_program(name, *argv, **env)
        out, err = await process.communicate()
        assert process.returncode == 0, (name, argv, out.decode(), err.decode())
        return out.decode()

    async def enrol(self, name: str, port: int | None = None, *flags: str | Path) -> Path:
        """A node's state folder, enrolled through `port` (the console's own unless a proxy's)."""
        token = (await self.admin("POST", "/api/join-tokens", {"uses": 1}))["token"]
        data = self.folder / name
        await self.program(
            "byoi",
            "enroll",
            *("--console", self.url if port is None else f"http://127.0.0.1:{port}"),
            *("--data-dir", data),
            *flags,
            BYOI_JOIN_TOKEN=token,
        )
        return data

    async def run_node(
        self, name: str, *flags: str, wait: bool = True, seconds: float = STARTING_SECONDS
    ) -> Process:
        """Start an enrolled node; without flags with the engine that it brings."""
        ready_file = self.folder / f"{name}.ready"
        node = Process(
            name,
            self.folder,
            BIN / "byoi",
            "run",
            *("--data-dir", self.folder / name),
            *("--ready-file", ready_file),
            *flags,
            env=self.env,
        )
        self.processes.append(node)
        await node.start(ready_file if wait else None, seconds)
        if wait:
            await self.until(lambda: self._knows(node), seconds)
        return node

    async def _knows(self, node: Process) -> bool:
        """Whether what the node says of itself has come to the console."""
        (listed,) = [n for n in await self.nodes() if n["node_id"] == node.ready["node_id"]]
        return listed["state"] == "online" and bool(listed["models"] or not listed["is_serving"])

    async def start_node(self, name: str, *flags: str, port: int | None = None) -> Process:
        """Enrol a node and start it."""
        await self.enrol(name, port)
        return await self.run_node(name, *flags)

    async def start_fake_engine(self, name: str = "engine", *flags: str) -> Process:
        """The stand-in engine; its address is `ready["url"]`."""
        engine = Process(
            name, self.folder, sys.executable, FAKE_ENGINE, "--port", "0", *flags, env=self.env
        )
        self.processes.append(engine)
        await engine.start()
        async with asyncio.timeout(STARTING_SECONDS):
            while "listening on " not in (said := engine.log.read_text()):
                assert engine.process.returncode is None, said
                await asyncio.sleep(0.05)
        engine.ready = {"url": said.partition("listening on ")[2].split()[0]}
        return engine

    async def engine_stats(self, engine: Process) -> dict[str, Any]:
        async with self.http.get(engine.ready["url"] + "/stats") as response:
            return await response.json()

    async def engine_control(self, engine: Process, **behaviour: Any) -> None:
        async with self.http.post(engine.ready["url"] + "/control", json=behaviour) as response:
            assert response.status == 200, await response.text()

    async def hold(self, engine: Process, tokens: int = 0) -> None:
        """Every stream of the stand-in stands still once it has so many tokens, until `let_go`.

        What a test does meanwhile is in the middle of an answer, however slow or fast it all is.
        """
        async with self.http.post(engine.ready["url"] + "/hold", json=tokens) as response:
            assert response.status == 200

    async def let_go(self, engine: Process) -> None:
        async with self.http.post(engine.ready["url"] + "/let_go") as response:
            assert response.status == 200

    async def engine_requests(self, engine: Process) -> list[dict[str, Any]]:
        """What clients asked; a node that has its doubts asks by itself, at any time."""
        async with self.http.get(engine.ready["url"] + "/requests") as response:
            return [one for one in await response.json() if not one["is_probe"]]

    # As a client

    async def post(
        self,
        path: str,
        body: object,
        *,
        leave_after_bytes: int | None = None,
        headers: dict[str, str] | None = None,
        into: Answer | None = None,
    ) -> Answer:
        """One request; leaves in the middle where told to. `into` shows what has come so far."""
        answer = into or Answer()
        sent = {"Authorization": f"Bearer {self.api_key}", **(headers or {})}
        try:
            async with self.http.post(
                self.url + path, json=body, headers=sent, ssl=self.tls or True
            ) as response:
                answer.status = response.status
                answer.headers = {k.lower(): v for k, v in response.headers.items()}
                async for chunk in response.content.iter_any():
                    answer.body += chunk
                    if leave_after_bytes is not None and len(answer.body) >= leave_after_bytes:
                        response.close()
                        break
        except (aiohttp.ClientError, ConnectionError) as error:
            answer.broken = repr(error)
        return answer

    async def chat(self, prompt: str, *, stream: bool = True, **fields: Any) -> Answer:
        """A chat request with the deployment's only model."""
        left, into = fields.pop("leave_after_bytes", None), fields.pop("into", None)
        body = {
            "model": fields.pop("model", None) or await self.model(),
            "messages": [{"role": "user", "content": prompt}],
            "stream": stream,
            **fields,
        }
        return await self.post("/v1/chat/completions", body, leave_after_bytes=left, into=into)

    async def model(self) -> str:
        """The deployment's only model, as it was first seen: its node may be away by now."""
        if self._model is not None:
            return self._model
        headers = {"Authorization": f"Bearer {self.api_key}"}
        async with self.http.get(
            self.url + "/v1/models", headers=headers, ssl=self.tls or True
        ) as response:
            self._model = (await response.json())["data"][0]["id"]
            return self._model

    async def nodes(self) -> list[dict[str, Any]]:
        listed = await self.admin("GET", "/api/nodes")
        return listed["data"] if isinstance(listed, dict) else listed

    async def rows(self) -> list[dict[str, Any]]:
        """The ledger's single rows."""
        return (await self.admin("GET", "/api/usage/requests?limit=1000"))["rows"]

    async def totals(self) -> dict[str, Any]:
        return (await self.admin("GET", "/api/usage"))["totals"]

    async def until(self, condition: Any, seconds: float = STARTING_SECONDS) -> Any:
        """Poll another process until it is so; the last value where it is."""
        async with asyncio.timeout(seconds):
            while not (value := await condition()):
                await asyncio.sleep(0.05)
            return value


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
