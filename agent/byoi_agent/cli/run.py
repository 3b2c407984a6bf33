"""`byoi run`: the node, until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from byoi_agent.cli.main import hold_hang_ups
from byoi_agent.cli.options import choose, debug_option, place_of, setting_options, settle
from byoi_agent.cli.parent import when_stdin_ends
from byoi_agent.config.lock import StateLock
from byoi_agent.config.paths import prepare
from byoi_agent.daemon.daemon import Daemon
from byoi_agent.errors import ConfigError
from byoi_agent.identity.enrolment import load_identity
from byoi_agent.identity.memory import keep_memory_private
from byoi_agent.identity.stores import stores_for
from byoi_agent.lifecycle.log_file import usable_place
from byoi_agent.lifecycle.state_schema import bring_up
from byoi_agent.service.windows_host import WindowsService
from byoi_agent.telemetry.logs import configure
from byoi_agent.telemetry.service_manager import ServiceManager

if TYPE_CHECKING:
    from collections.abc import Callable


if sys.platform == "win32":
    _new_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
else:
    from uvloop import new_event_loop as _new_loop

_COLLECT_AFTER: Final = 10_000
"""New objects upon which garbage is looked for; Python's 700 are a few requests'."""


@click.command(
    epilog="""\b
Examples:
  byoi run
  byoi run --engine http://127.0.0.1:11434/v1
  byoi run --engine vllm --model ~/models/qwen3-8b
  byoi run --slots 2 --log-format json
"""
)
@setting_options(
    "engine",
    "model",
    "context_tokens",
    "kv_cache_gib",
    "gpu_memory_share",
    "tensor_parallel",
    "vllm_python",
    "memory_budget_gib",
    "idle_unload_minutes",
    "model_disk_gib",
    "downloads",
    "hub",
    "stop_loss",
    "mode",
    "dedicated_to",
    "local_api",
    "local_port",
    "local_key_file",
    "slots",
    "queue",
    "console",
    "data_dir",
    "cache_dir",
    "runtime_dir",
    "key_store",
    "ca_file",
    "drain_seconds",
    "probe_seconds",
    "control_port",
    "log_format",
    "log_level",
    "log_file",
    "metrics_port",
)
@click.option(
    "--ready-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Written as JSON once the node serves.",
)
@click.option("--exit-with-stdin", is_flag=True, help="End when standard input ends.")
@click.option("--as-service", is_flag=True, hidden=True)
@debug_option
def run(
    ready_file: Path | None, *, exit_with_stdin: bool, as_service: bool, **flags: object
) -> None:
    """Serve this machine to its console until SIGTERM or Ctrl-C.

    The first signal lets running requests end (--drain-seconds), the second stops at once.
    """
    with _service() if as_service else nullcontext() as service:
        _run(ready_file, service, flags, exit_with_stdin=exit_with_stdin)


def _run(
    ready_file: Path | None,
    service: WindowsService | None,
    flags: dict[str, object],
    *,
    exit_with_stdin: bool,
) -> None:
    chosen = choose(flags)
    settings, paths = chosen.settings, chosen.paths
    configure(settings.log_format, settings.log_level)
    keep_memory_private()
    prepare(paths)
    with StateLock(paths.lock_file):
        bring_up(paths.state)
        log = usable_place(settings.log_file, paths.log_file, os.environ)
        configure(settings.log_format, settings.log_level, file=log.file)
        identity = load_identity(paths.identity_file, stores_for(settings, paths, os.environ))
        with asyncio.Runner(loop_factory=_new_loop) as runner:
            daemon = Daemon(
                settings,
                paths,
                identity,
                ready_file=ready_file,
                reread=lambda: choose(flags).settings,
                config_file=place_of(flags),
                loaded=lambda: settle(flags),
                service_manager=service.manager if service else ServiceManager.take(os.environ),
            )
            if service is not None:
                loop = runner.get_loop()
                service.attach(loop, stop=daemon.stop.ask, reload=daemon.hung_up)
            if exit_with_stdin:
                when_stdin_ends(runner.get_loop(), daemon.stop.at_once)
            # What is imported by now stays: a collector that looks through it again and again
            # would cost requests whole milliseconds.
            gc.freeze()
            gc.set_threshold(_COLLECT_AFTER)
            try:
                runner.run(daemon.run())
            finally:
                hold_hang_ups()


def _service() -> WindowsService:
    """What speaks with Windows' service manager.

    Raises:
        ConfigError: this is not Windows.
    """
    if sys.platform == "win32":
        from byoi_agent.service.windows_calls import SystemService  # noqa: PLC0415 only there

        return WindowsService(SystemService())
    raise ConfigError("--as-service is for Windows' service manager; leave it out")
