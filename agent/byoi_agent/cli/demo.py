"""`byoi demo`: the whole system on this machine, one answer, and what to export."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from byoi_agent.cli.options import choose, debug_option, json_option
from byoi_agent.config.files import check_can_be_made
from byoi_agent.demo.choices import NODES_LIMIT, Choices
from byoi_agent.demo.engine import usual_engine
from byoi_agent.demo.folder import opened
from byoi_agent.demo.supervisor import Audience, DemoSupervisor
from byoi_agent.demo.talk import talk_for

if TYPE_CHECKING:
    from byoi_agent.demo.choices import Ready

EXIT_INTERRUPTED = 130


@click.command(
    epilog="""\b
Examples:
  byoi demo
  byoi demo --once 'What is the capital of France?'
  byoi demo --nodes 2 --data-dir ./demo
  byoi demo --engine vllm
  byoi demo --engine http://127.0.0.1:11434/v1
"""
)
@click.option("--once", metavar="PROMPT", help="One streamed answer, then a clean exit.")
@click.option(
    "--engine",
    help="llamacpp, vllm, or the URL of an OpenAI-compatible server that already runs.  "
    "[default: llamacpp; vllm where it is installed and there is a GPU]",
)
@click.option("--model", help="Model to serve.  [default: the small one that comes with it]")
@click.option(
    "--nodes",
    type=click.IntRange(1, NODES_LIMIT),
    default=1,
    show_default=True,
    help="Nodes on the one console.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="The console's port; 0 = any free one.  [default: 8700, or a free one with a word]",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=str, file_okay=False),  # nothing stays nothing, and is refused
    help="Where all state goes; the same folder again resumes.  [default: a temporary folder]",
)
@click.option(
    "--ready-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Written as JSON once everything serves.",
)
@click.option("--quiet", is_flag=True, help="The answer alone.")
@json_option
@debug_option
def demo(*, quiet: bool, as_json: bool, **flags: object) -> int:
    """Start a console, a node and a real engine here, and have one question answered.

    It stays up until Ctrl-C for your own clients; nothing but loopback is listened on.
    """
    # Of the settings only those that hold for every node of this machine: where downloads go.
    paths = choose({"engine": flags["engine"], "data_dir": flags["data_dir"]}).paths
    if isinstance(ready_file := flags["ready_file"], Path):
        check_can_be_made("--ready-file", ready_file)
    named = flags["data_dir"]
    chosen = flags | {
        "engine": flags["engine"] or usual_engine(paths),
        "data_dir": None if named is None else Path(str(named)),
    }
    choices = Choices(**chosen)  # type: ignore[arg-type]
    is_once = choices.once is not None
    audience = _Programs(once=is_once) if as_json else _People(quiet=quiet, once=is_once)
    with opened(choices.data_dir) as folder:
        supervisor = DemoSupervisor(
            choices,
            folder,
            paths=paths,
            talk=talk_for(quiet=quiet or as_json),
            audience=audience,
        )
        is_up = asyncio.run(supervisor.run())
    return 0 if is_up else EXIT_INTERRUPTED


class _People(Audience):
    """The answer as it streams, then what to export, on standard output."""

    def __init__(self, *, quiet: bool, once: bool) -> None:
        self._shows_answer = once or not quiet
        self._is_talkative = not quiet and not once
        self._has_said = False

    def question(self, prompt: str) -> None:
        """Repeat it, unless the answer shall stand alone."""
        if self._is_talkative:
            click.echo(f"\n> {prompt}")

    def piece(self, text: str) -> None:
        """At once, as it came."""
        if not self._shows_answer:
            return
        sys.stdout.write(text if self._has_said else text.lstrip())
        sys.stdout.flush()
        self._has_said = True

    def answered(self) -> None:
        """End the line."""
        if self._shows_answer:
            click.echo()

    def ready(self, ready: Ready) -> None:
        """What to type next."""
        if not self._is_talkative:
            return
        body = json.dumps(
            {"model": ready.model, "messages": [{"role": "user", "content": "Hello"}]}
        )
        click.echo(
            f"""
It serves. For any OpenAI client:

    export OPENAI_BASE_URL={ready.base_url}
    export OPENAI_API_KEY={ready.api_key}

    curl "$OPENAI_BASE_URL/chat/completions" -H "Authorization: Bearer $OPENAI_API_KEY" \\
        -H "Content-Type: application/json" -d '{body}'

In another terminal: byoi status, byoi usage. Ctrl-C ends it all."""
        )


class _Programs(Audience):
    """One JSON object: what the ready file holds and the answer, or the one answer alone."""

    def __init__(self, *, once: bool) -> None:
        self._is_once = once
        self._prompt = ""
        self._pieces: list[str] = []

    def question(self, prompt: str) -> None:
        """Keep it."""
        self._prompt = prompt

    def piece(self, text: str) -> None:
        """Keep it."""
        self._pieces.append(text)

    def answered(self) -> None:
        """All there will be, where one answer was wanted."""
        if self._is_once:
            click.echo(json.dumps(self._told))

    def ready(self, ready: Ready) -> None:
        """What it can be used with."""
        click.echo(json.dumps({**ready.model_dump(mode="json"), **self._told}))

    @property
    def _told(self) -> dict[str, str]:
        return {"prompt": self._prompt, "answer": "".join(self._pieces)}
