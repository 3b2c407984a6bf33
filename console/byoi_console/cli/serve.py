"""`byoi-console serve`: the console as a process."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from byoi_console.app import serve_console
from byoi_console.cli.options import setting_options
from byoi_console.cli.parent import end_with_parent, when_stdin_ends
from byoi_console.config import load_with_sources
from byoi_console.errors import ConfigError
from byoi_console.telemetry.logs import configure

if TYPE_CHECKING:
    from collections.abc import Callable

    from byoi_console.app import Serving

logger = logging.getLogger(__name__)

if sys.platform == "win32":
    _new_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
else:
    from uvloop import new_event_loop as _new_loop

_COLLECT_AFTER: Final = 10_000
"""New objects upon which garbage is looked for; Python's 700 are a few requests'."""


@click.command()
@setting_options()
@click.option(
    "--ready-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Written once it serves: {url, pid, setup_url} as JSON.",
)
@click.option("--exit-with-stdin", is_flag=True, help="End when standard input ends.")
@click.option("--exit-with-parent", is_flag=True, help="End when the parent process ends (Linux).")
def serve(
    ready_file: Path | None, *, exit_with_stdin: bool, exit_with_parent: bool, **flags: object
) -> None:
    """Serve clients and nodes until SIGTERM; a second SIGTERM ends it at once."""
    loaded = load_with_sources(flags, os.environ)
    settings = loaded.values
    configure(settings.log_format, settings.log_level)
    if loaded.sources["database_url"] == "flag" and "@" in str(settings.database_url):
        logger.warning(
            "every user of this machine can read --database-url in the list of processes; "
            "put it into a file and name that with --database-url-file"
        )
    if ready_file is not None and not ready_file.absolute().parent.is_dir():
        raise ConfigError(f"--ready-file: there is no folder {ready_file.absolute().parent}")
    if exit_with_parent:
        end_with_parent()

    def ready(serving: Serving) -> None:
        if exit_with_stdin:
            when_stdin_ends(asyncio.get_running_loop(), serving.stop.at_once)
        click.echo(f"byoi console serves at {serving.url}")
        told: dict[str, object] = {"url": serving.url, "pid": os.getpid()}
        if serving.set_up_url is not None:
            click.echo("nobody administers it yet; open this link once, within a day, to do so:")
            click.echo(f"  {serving.set_up_url}")
            told["setup_url"] = serving.set_up_url
        if ready_file is not None:
            _write_whole(ready_file, json.dumps(told))

    # What is imported by now stays: a collector that looks through it again and again would cost
    # requests whole milliseconds.
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)
    with asyncio.Runner(loop_factory=_new_loop) as runner:
        runner.run(serve_console(settings, ready))


def _write_whole(path: Path, text: str) -> None:
    """A reader finds the whole file or none."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    # Readable by its owner only: a set-up link makes whoever opens it the administrator.
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    part.replace(path)
