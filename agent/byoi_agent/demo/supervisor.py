"""Starts the demo's parts in order, has one question answered, stays up, and ends them in order."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import sys
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from byoi_agent.config.files import write_private
from byoi_agent.control.client import ControlClient
from byoi_agent.control.instances import DemoPlace, read_place, register_demo
from byoi_agent.demo import engine, parts, port
from byoi_agent.demo.child import Child, ChildFailed
from byoi_agent.demo.choices import DEFAULT_PORT, DEFAULT_PROMPT, ConsolePlace, DemoNode, Ready
from byoi_agent.demo.console_api import ConsoleApi
from byoi_agent.engine.kinds.choice import is_vllm
from byoi_agent.errors import AgentError

if TYPE_CHECKING:
    from pathlib import Path

    from byoi_agent.config.paths import Paths
    from byoi_agent.control.schema import NodePlace, StatusReport
    from byoi_agent.demo.choices import Choices
    from byoi_agent.demo.folder import DemoFolder, Secrets
    from byoi_agent.demo.shared_engine import SharedEngine
    from byoi_agent.demo.talk import Talk

DRAIN_SECONDS: Final = 35.0
"""What a node may take to end: its own time for running requests, and a little."""

CONSOLE_SECONDS: Final = 35.0
LOOK_SECONDS: Final = 1.0
"""Between looks at a node that is slow to serve."""


class Audience:
    """Where the answer goes; `cli/demo.py` prints it, programs get it as JSON."""

    def question(self, prompt: str) -> None:
        """What is asked."""

    def piece(self, text: str) -> None:
        """The next piece of the answer."""

    def answered(self) -> None:
        """The answer is complete."""

    def ready(self, ready: Ready) -> None:
        """Everything serves and stays up."""


class DemoSupervisor:
    """Sole owner of the demo's programs."""

    def __init__(
        self,
        choices: Choices,
        folder: DemoFolder,
        *,
        paths: Paths,
        talk: Talk,
        audience: Audience,
    ) -> None:
        self._choices = choices
        self._folder = folder
        self._paths = paths
        self._talk = talk
        self._audience = audience
        self._console: Child | None = None
        self._nodes: list[Child] = []
        self._tasks = asyncio.TaskGroup()
        self._shared: SharedEngine | None = None
        self._shared_life: asyncio.Task[None] | None = None
        self._is_up = False
        self._stops = 0

    async def run(self) -> bool:
        """Until a signal, or the one answer; False if a signal came before everything was up.

        Raises:
            AgentError: a part failed, or no answer came; everything has been ended.
        """
        loop = asyncio.get_running_loop()
        async with self._tasks:
            story = self._tasks.create_task(self._story(), name="demo")
            if sys.platform != "win32":  # which ends the demo at once, and its parts with it
                for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                    loop.add_signal_handler(number, self._stop, story)
        return self._is_up

    def _stop(self, story: asyncio.Task[None]) -> None:
        """The first signal ends the parts in order, the next one at once."""
        self._stops += 1
        if self._stops == 1:
            story.cancel()
            return
        for child in self._children:
            child.kill()

    @property
    def _children(self) -> list[Child]:
        return [*self._nodes, *([self._console] if self._console is not None else [])]

    # From nothing to everything up.

    async def _story(self) -> None:
        registration: Path | None = None
        try:
            url, secrets = await self._prepare()
            places = await self._start_nodes(url, secrets)
            registration = self._register(places)
            ready = await self._introduce(url, secrets, places)
            await self._ask(ready)
            self._is_up = True
            self._write_ready(ready)
            if self._choices.once is None:
                self._audience.ready(ready)
                await self._stay_up()
        finally:
            self._talk.settle()
            if registration is not None:
                registration.unlink(missing_ok=True)
            await self._end()

    async def _prepare(self) -> tuple[str, Secrets]:
        """Console and engine at the same time: neither needs the other."""
        async with asyncio.TaskGroup() as both:
            fetched = both.create_task(self._prepare_engine(), name="engine")
            console = both.create_task(self._start_console(), name="console")
        del fetched
        self._talk.settle()
        return console.result()

    async def _prepare_engine(self) -> None:
        choices = self._choices
        if choices.is_engine_ours:
            if provenance := engine.provenance_of(choices.engine, self._paths):
                self._talk.say(provenance)
            await engine.fetch_engine(
                choices.engine, choices.model, self._paths, self._talk.progress
            )
            if choices.is_engine_shared:
                await self._start_shared_engine()
        else:
            key = os.environ.get("BYOI_ENGINE_API_KEY") or None
            await engine.ask_attached(choices.engine, key, choices.model)

    async def _start_shared_engine(self) -> None:
        self._talk.say(f"Starting one engine for all nodes …{self._patience}")
        self._shared = engine.shared_engine(self._choices, self._folder, self._paths, self._talk)
        self._shared_life = self._tasks.create_task(self._shared.run(), name="engine")
        await self._shared.until_ready()

    @property
    def _patience(self) -> str:
        return " vLLM takes a minute or more." if is_vllm(self._choices.engine) else ""

    async def _start_console(self) -> tuple[str, Secrets]:
        chosen = port.choose(self._choices.port)
        self._talk.say("Starting the console …")
        if chosen.is_usual_taken:
            self._say_taken()
        try:
            url = await self._console_at(chosen.number)
        except ChildFailed:
            if self._choices.port is not None or not port.choose(None).is_usual_taken:
                raise
            self._say_taken()  # another demo, started in the same moment, was faster
            url = await self._console_at(0)
        return url, await parts.secrets_of(self._folder, url)

    def _say_taken(self) -> None:
        self._talk.say(f"Port {DEFAULT_PORT} is taken, so the console uses a free one.")

    async def _console_at(self, number: int) -> str:
        self._console = parts.console_child(self._folder, number)
        self._tasks.create_task(self._console.run(), name="console")
        return str((await self._console.until_ready())["url"])

    async def _start_nodes(self, url: str, secrets: Secrets) -> list[NodePlace]:
        numbers = range(1, self._choices.nodes + 1)
        if fresh := parts.not_enrolled(self._folder, self._choices.nodes):
            self._talk.say(f"Enrolling {_count(len(fresh), 'node')} …")
            token = await parts.join_token(url, secrets, len(fresh))
            async with asyncio.TaskGroup() as enrolling:
                for number in fresh:
                    enrolling.create_task(parts.enrol(self._folder, number, url, token))
        choices = self._choices
        if self._shared is not None:
            choices = replace(choices, engine=self._shared.url, model=None)
        own = " with its engine" if choices.nodes == 1 else ", each with its engine"
        what = own if choices.is_engine_ours else f" for the engine at {choices.engine}"
        patience = self._patience if choices.is_engine_ours else ""
        self._talk.say(f"Starting {_count(choices.nodes, 'node')}{what} …{patience}")
        self._nodes = [parts.node_child(self._folder, number, url, choices) for number in numbers]
        for child in self._nodes:
            self._tasks.create_task(child.run(), name=child.name)
        async with asyncio.TaskGroup() as starting:
            waiting = [
                starting.create_task(self._until_serving(child, number))
                for number, child in zip(numbers, self._nodes, strict=True)
            ]
        return [task.result() for task in waiting]

    async def _until_serving(self, child: Child, number: int) -> NodePlace:
        async with asyncio.TaskGroup() as both:
            looking = both.create_task(self._explain_delay(child, number))
            place = await parts.place_of(child)
            looking.cancel()
        return place

    async def _explain_delay(self, child: Child, number: int) -> None:
        """Tell why a node does not serve yet, as it says itself; give up where only we can mend."""
        told = None
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            report = await asyncio.to_thread(_report_of, self._folder.node(number))
            if report is None:
                continue
            if report.engine is not None and report.engine.state == "failed":
                raise ChildFailed(
                    f"the engine of {child.name} cannot be used: {report.engine.reason}"
                )
            if (reason := _trouble_of(report)) is not None and reason != told:
                self._talk.say(f"  {child.name} waits for {reason}")
                told = reason

    def _register(self, places: list[NodePlace]) -> Path:
        demo = DemoPlace(pid=os.getpid(), data_dir=str(self._folder.root), nodes=tuple(places))
        return register_demo(os.environ, demo)

    async def _introduce(self, url: str, secrets: Secrets, places: list[NodePlace]) -> Ready:
        assert self._console is not None
        return Ready(
            base_url=f"{url}/v1",
            api_key=secrets.api_key,
            model=await self._model(url, secrets),
            console=ConsolePlace(
                url=url,
                pid=self._console.pid,
                admin_email=secrets.admin_email,
                admin_password=secrets.admin_password,
                admin_api_key=secrets.admin_api_key,
            ),
            nodes=tuple(self._told_of(place) for place in places),
        )

    def _told_of(self, place: NodePlace) -> DemoNode:
        node = DemoNode.model_validate(place.model_dump(include=set(DemoNode.model_fields)))
        if self._shared is None:
            return node
        return node.model_copy(update={"engine": self._shared.place})

    async def _model(self, url: str, secrets: Secrets) -> str:
        """What to ask for: the wanted model, else the first that the console lists."""
        api = ConsoleApi(url, secrets.api_key)
        try:
            listed = [entry["id"] for entry in (await api.call("GET", "/v1/models"))["data"]]
        finally:
            await api.close()
        if self._choices.model in listed:
            return str(self._choices.model)
        if not listed:
            raise AgentError("the console lists no model although its nodes serve")
        return str(listed[0])

    # Everything is up.

    async def _ask(self, ready: Ready) -> None:
        """One streamed question through the whole path, against parts that may die meanwhile."""
        prompt = DEFAULT_PROMPT if self._choices.once is None else self._choices.once
        api = ConsoleApi(ready.console.url, ready.api_key)
        self._audience.question(prompt)
        try:
            async with aclosing(api.chat(ready.model, prompt)) as answer:
                async for text in answer:
                    self._audience.piece(text)
        except AgentError:
            for child in self._children:
                if child.ended.is_set():
                    raise child.failure("before it had answered") from None
            raise
        finally:
            await api.close()
        self._audience.answered()

    def _write_ready(self, ready: Ready) -> None:
        if self._choices.ready_file is not None:
            write_private(
                self._choices.ready_file.absolute(), ready.model_dump_json(indent=2).encode()
            )

    async def _stay_up(self) -> None:
        """Until a signal; a part that ends is told, and the others go on, as on real machines."""
        async with asyncio.TaskGroup() as watching:
            for child in self._children:
                watching.create_task(self._tell_end(child), name=f"watch {child.name}")
        raise ChildFailed("every part of the demo has ended; start it again: byoi demo")

    async def _tell_end(self, child: Child) -> None:
        await child.ended.wait()
        self._talk.say(
            f"{child.failure('while serving')}\n"
            f"  The rest goes on. To start it again: {shlex.join(child.command)}"
        )

    async def _end(self) -> None:
        """Nodes first, so that what they still have to report finds a console."""
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                await _ended(self._nodes)
        if self._shared_life is not None:
            self._shared_life.cancel()
            await asyncio.wait({self._shared_life})  # its supervisor bounds its own end
        if self._console is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(CONSOLE_SECONDS):
                    await _ended([self._console])
        for child in self._children:
            child.kill()


async def _ended(children: list[Child]) -> None:
    for child in children:
        child.terminate()
    for child in children:
        await child.ended.wait()


def _report_of(data_dir: Path) -> StatusReport | None:
    """How a node is, as far as it can be asked already."""
    try:
        place = read_place(data_dir / "control.json")
        return None if place is None else ControlClient.at(place).status()
    except AgentError:
        return None


def _trouble_of(report: StatusReport) -> str | None:
    """What a node waits for, in its own words."""
    if report.engine is not None and report.engine.reason:
        return f"its engine: {report.engine.reason}"
    return f"the console: {report.link.reason}" if report.link.reason else None


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
