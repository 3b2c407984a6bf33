"""`byoi bench`: how fast a model is here, alone and under load."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from byoi_agent.bench.policy import Plan
from byoi_agent.bench.svg import drawing
from byoi_agent.cli.bench_run import Measuring
from byoi_agent.cli.bench_target import Place
from byoi_agent.cli.options import choose, debug_option, json_option, setting_options
from byoi_agent.config.files import check_can_be_made
from byoi_agent.errors import AgentError
from byoi_wire.ids import ModelId

if TYPE_CHECKING:
    from collections.abc import Callable

    from byoi_agent.bench.report import BenchReport

if sys.platform == "win32":
    _new_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
else:
    from uvloop import new_event_loop as _new_loop

_MOST_CONCURRENCY: Final = 1024
_MOST_DIGITS: Final = 100
_PIPE_COLUMNS: Final = 80


class _Concurrencies(click.ParamType[tuple[int, ...]]):
    """Numbers with commas between them."""

    name = "numbers"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """As a tuple, each once."""
        if isinstance(value, tuple):
            return value
        parts = str(value).split(",")
        if not all(part.strip().isascii() and part.strip().isdigit() for part in parts):
            self.fail("give numbers with commas between them, like 1,8,32", param, ctx)
        # Python reads no number of thousands of digits.
        numbers = tuple(dict.fromkeys(int(part.strip()[:_MOST_DIGITS]) for part in parts))
        if not all(1 <= number <= _MOST_CONCURRENCY for number in numbers):
            self.fail(f"each is a number from 1 to {_MOST_CONCURRENCY}", param, ctx)
        return numbers


@click.command(
    epilog="""\b
Examples:
  byoi bench
  byoi bench smollm2-135m-instruct --concurrency 1,4,16 --svg bench.svg
  byoi bench --url http://127.0.0.1:11434/v1 --json
  byoi bench --seconds 60 --prompt-tokens 2000 --output-tokens 500
"""
)
@click.argument("model", required=False)
@click.option("--url", help="An OpenAI-compatible server instead of the node's engine.")
@click.option(
    "--concurrency",
    type=_Concurrencies(),
    default="1,8,32",
    show_default=True,
    help="Requests at once, one level for each number.",
)
@click.option(
    "--prompt-tokens",
    type=click.IntRange(1, 10_000_000),
    default=256,
    show_default=True,
    help="Length of the prompts.",
)
@click.option(
    "--output-tokens",
    type=click.IntRange(2, 1_000_000),
    default=128,
    show_default=True,
    help="Length of the answers.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0.1, 3600),
    default=10.0,
    show_default=True,
    help="Time for each level, after its warm-up.",
)
@click.option("--no-knee", is_flag=True, help="Measure the given levels only.")
@click.option("--no-keep", is_flag=True, help="Neither keep nor advertise what was found.")
@click.option(
    "--svg",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the diagram to this file.",
)
@setting_options("engine", "context_tokens", "slots", "data_dir", "cache_dir")
@json_option
@debug_option
def bench(
    *,
    model: str | None,
    url: str | None,
    concurrency: tuple[int, ...],
    prompt_tokens: int,
    output_tokens: int,
    seconds: float,
    no_knee: bool,
    no_keep: bool,
    svg: Path | None,
    as_json: bool,
    **flags: object,
) -> None:
    """Measure how fast MODEL answers here: first token, tokens a second, and where the knee is.

    Asks the engine of the running node, which goes on serving its guests meanwhile; where no node
    runs, starts the engine of the settings and ends it again. What was found is kept, and the node
    advertises it.
    """
    if svg is not None:
        check_can_be_made("--svg", svg)
    place = Place(choose(flags), flags, ModelId(model) if model else None, url)
    plan = Plan(concurrency, finds_knee=not no_knee)
    run = Measuring(place, plan, prompt_tokens, output_tokens, seconds, keeps=not no_keep)
    interrupted: KeyboardInterrupt | None = None
    try:
        with asyncio.Runner(loop_factory=_new_loop) as runner:
            runner.run(run.all())
    except KeyboardInterrupt as stop:
        interrupted = stop  # what is known by now is told first
    report = run.report()
    if report is not None and report.good:
        _tell(report, svg, as_json=as_json)
    if interrupted is not None:
        raise interrupted
    if report is None or not report.good:
        why = "; ".join(report.notes) if report is not None else "the engine was not asked"
        raise AgentError(f"too few answers came to report anything: {why}")


def _tell(report: BenchReport, svg: Path | None, *, as_json: bool) -> None:
    if as_json:
        click.echo(report.model_dump_json())
    else:
        _show(report)
    if svg is None:
        return
    try:
        svg.write_text(drawing(report), encoding="utf-8")
    except OSError as error:
        raise AgentError(
            f"the diagram cannot be written to {svg}: {error.strerror}; make room there, "
            "or name another file"
        ) from error
    if not as_json:
        click.echo(f"\nThe diagram is in {svg}.")


def _show(report: BenchReport) -> None:
    from rich.console import Console  # noqa: PLC0415 programs ask for JSON and never pay for it

    from byoi_agent.cli.bench_view import bench_view  # noqa: PLC0415

    width = None if sys.stdout.isatty() else _PIPE_COLUMNS
    console = Console(file=sys.stdout, highlight=False, markup=False, width=width)
    console.print(bench_view(report, console.width, is_plain=not _takes_blocks()))


def _takes_blocks() -> bool:
    """Whether what reads our output can show the characters that bars are drawn with."""
    try:
        "█◂".encode(sys.stdout.encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return False
    return True
