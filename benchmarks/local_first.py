"""How soon the owner's own program hears of its answer: alone, among guests, and as one of them.

    python benchmarks/local_first.py                  # the demo's model on llama.cpp, some minutes
    python benchmarks/local_first.py --engine vllm
    python benchmarks/local_first.py --firsts 1 --rows 2 --guests 2 --json

Starts `byoi demo` in a folder of its own. Guests ask the gateway without a pause, more of them than
the engine has slots. The owner asks the local /v1: after he has been quiet (a guest has to give
way), and again at once (a slot is held for him). What the same prompt takes as one more guest at
the gateway is what he would have without precedence; all in one run, so that the ratio holds.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self
from urllib.parse import urlsplit

from byoi_agent.serving.precedence import QUIET_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BYOI = Path(sys.executable).with_name("byoi")
START_SECONDS = 300.0
WARM_SECONDS = 3.0
OWN_TOKENS = 8
GUEST_TOKENS = 128
PROMPT = "Tell a long story of a lighthouse keeper, number"


class Door(NamedTuple):
    """Where to ask, and as whom."""

    url: str
    key: str | None
    model: str


class Heard(NamedTuple):
    """One answer: `first` and `last` in seconds since it was asked for; None: it never came."""

    first: float | None
    last: float
    tokens: int
    is_whole: bool


class Row(NamedTuple):
    """One line of the table: what was asked, and seconds to the first token."""

    name: str
    firsts: list[float]

    @property
    def p50(self) -> float:
        """Half of them were as fast."""
        return statistics.median(self.firsts)

    @property
    def p95(self) -> float:
        """All but a twentieth were as fast; with few of them the slowest."""
        return sorted(self.firsts)[max(0, -(-len(self.firsts) * 95 // 100) - 1)]


def ask(door: Door, prompt: str, tokens: int) -> Heard:
    """One streamed chat."""
    place = urlsplit(door.url)
    body = {"model": door.model, "stream": True, "max_tokens": tokens, "temperature": 1.0,
            "messages": [{"role": "user", "content": prompt}]}  # fmt: skip
    headers = {"Content-Type": "application/json"}
    if door.key is not None:
        headers["Authorization"] = f"Bearer {door.key}"
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=300)
    begun = time.perf_counter()
    first, count, is_whole = None, 0, False
    try:
        connection.request("POST", f"{place.path}/chat/completions", json.dumps(body), headers)
        for line in connection.getresponse():
            text = _text_in(line)
            if text and first is None:
                first = time.perf_counter() - begun
            count += bool(text)
            is_whole = is_whole or line.startswith(b"data: [DONE]")
    finally:
        connection.close()
    return Heard(first, time.perf_counter() - begun, count, is_whole)


def _text_in(line: bytes) -> str | None:
    if not line.startswith(b"data: {"):
        return None
    told = json.loads(line[6:])
    choices = told.get("choices") or [{}]
    text: str | None = (choices[0].get("delta") or {}).get("content")
    return text


class Guests:
    """Threads that ask without a pause until told to stop."""

    def __init__(self, door: Door, count: int) -> None:
        self.heard: list[Heard] = []
        self._door = door
        self._is_over = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=(number,), daemon=True)
            for number in range(count)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        time.sleep(WARM_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, number: int) -> None:
        while not self._is_over.is_set():
            self.heard.append(ask(self._door, f"{PROMPT} {number}", GUEST_TOKENS))


@contextmanager
def demo(engine: str) -> Iterator[tuple[Door, Door]]:
    """The owner's door and the guests'."""
    with tempfile.TemporaryDirectory(prefix="byoi-first-") as folder:
        ready = Path(folder, "ready.json")
        command = [BYOI, "demo", "--engine", engine, "--port", "0", "--data-dir", folder]
        process = subprocess.Popen(
            [*command, "--ready-file", ready], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            until = time.monotonic() + START_SECONDS
            while not ready.exists():
                if process.poll() is not None or time.monotonic() >= until:
                    raise SystemExit("the demo did not start; look: byoi demo")
                time.sleep(0.1)
            told = json.loads(ready.read_text())
            place = json.loads(next(Path(folder, "nodes").glob("*/control.json")).read_text())
            model = told["model"]
            yield (
                Door(place["local_url"], None, model),
                Door(told["base_url"], told["api_key"], model),
            )
        finally:
            process.terminate()
            process.wait(60)


def measure(owner: Door, guest: Door, *, firsts: int, rows: int, guests: int) -> list[Row]:
    """The table, each line with its own prompts so that no cache answers."""
    numbers = iter(range(1000, 100_000))

    def first(door: Door) -> float:
        heard = ask(door, f"Name the number {next(numbers)} in words.", OWN_TOKENS)
        if heard.first is None:
            raise SystemExit("no answer came; look: byoi logs")
        return heard.first

    first(owner)
    alone = Row("alone", [first(owner) for _ in range(rows)])
    moved, held = [], []
    time.sleep(QUIET_SECONDS + 2)
    with Guests(guest, guests) as there:
        as_guest = Row("as one more guest", [first(guest) for _ in range(max(2, firsts))])
        for round_ in range(firsts):
            if round_:
                time.sleep(QUIET_SECONDS + 2)
            moved.append(first(owner))
            held += [first(owner) for _ in range(rows)]
        cut = sum(not heard.is_whole for heard in there.heard)
    print(f"guests' answers: {len(there.heard)}, cut: {cut}", file=sys.stderr)
    return [alone, Row("first after a quiet time", moved), Row("then again", held), as_guest]


def table(rows: Sequence[Row]) -> str:
    """As the documentation has it."""
    slowest = rows[-1].p50
    lines = ["| the owner asks | p50 | p95 | against a guest |", "|---|---|---|---|"]
    lines += [
        f"| {row.name} | {row.p50:.2f} s | {row.p95:.2f} s | {slowest / row.p50:.0f} times sooner |"
        for row in rows
    ]
    return "\n".join(lines)


def main() -> None:
    """Print the table, or the numbers as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", default="llamacpp")
    parser.add_argument("--guests", type=int, default=8, help="guests that ask without a pause")
    parser.add_argument("--firsts", type=int, default=4, help="requests after a quiet time")
    parser.add_argument("--rows", type=int, default=10, help="requests that follow each")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    with demo(chosen.engine) as (owner, guest):
        rows = measure(owner, guest, firsts=chosen.firsts, rows=chosen.rows, guests=chosen.guests)
    if chosen.json:
        print(json.dumps({row.name: row.firsts for row in rows}))
    else:
        print(table(rows))


if __name__ == "__main__":
    main()
