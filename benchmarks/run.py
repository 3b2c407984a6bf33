"""What the path from client to engine costs, beside nginx→nginx, measured on this machine.

All paths stand at once and are measured in turn, round by round, so that what else the machine does
falls on all of them. Compare only within one run: absolute figures move with machine and load.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import paths
import processes
import report

RATE = 50
"""Tokens per second of each paced stream."""


@dataclass(frozen=True)
class Scenario:
    """One way of using the path; `model` is one of the stand-in engine's."""

    name: str
    model: str
    streams: int
    warm_seconds: float
    window_seconds: float
    tokens: int = 0
    stalled: int = 0

    @property
    def answer_tokens(self) -> int:
        """Enough that a paced answer outlasts the window."""
        return self.tokens or round(RATE * (self.warm_seconds + self.window_seconds + 0.4))


def scenarios(*, is_quick: bool) -> list[Scenario]:
    """The quick ones keep two rounds of all paths under a minute."""
    window = 1.3 if is_quick else 4.0
    found = [
        Scenario("1 stream", "fast", 1, 0.2, 0.8 if is_quick else 3.0, tokens=4),
        Scenario("32 paced", "step", 32, 0.4, window),
        Scenario("256 paced", "step", 256, 1.0, window),
        Scenario("256 spread", "spread", 256, 1.0, window),
    ]
    if not is_quick:
        found += [
            Scenario("1024 paced", "step", 1024, 4.0, window),
            Scenario("32 paced, 8 stalled", "step", 32, 1.0, window, stalled=8),
            Scenario("16-token answers, 32 at once", "fast", 32, 1.0, window, tokens=16),
        ]
    return found


@dataclass(frozen=True)
class Result:
    """One scenario over one path in one round."""

    path: str
    scenario: str
    round: int
    cpu_seconds: float
    cpu_seconds_of_each: list[float]
    resident_idle_bytes: int
    resident_bytes: int
    load: dict[str, object]

    @property
    def chunks(self) -> int:
        """Content events that reached the clients within the window."""
        return int(str(self.load["chunks"]))


def measure(path: paths.MeasuredPath, scenario: Scenario, number: int) -> Result:
    """Run the load once; CPU and memory are read as the window opens and closes."""
    command = [str(paths.BUILD / "load"), "--port", str(path.port), "--key", path.key]
    command += ["--model", scenario.model, "--streams", str(scenario.streams)]
    command += ["--tokens", str(scenario.answer_tokens), "--stalled", str(scenario.stalled)]
    command += ["--warm", str(scenario.warm_seconds), "--window", str(scenario.window_seconds)]
    trees = [processes.tree(root) for root in path.roots]
    pids = [pid for tree in trees for pid in tree]
    idle = processes.resident_bytes(pids)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as load:
        assert load.stdout
        load.stdout.readline()
        before = [processes.cpu_seconds(tree) for tree in trees]
        load.stdout.readline()
        each = [processes.cpu_seconds(tree) - was for tree, was in zip(trees, before, strict=True)]
        resident = processes.resident_bytes(pids)
        seen = json.loads(load.stdout.readline())
    return Result(path.name, scenario.name, number, sum(each), each, idle, resident, seen)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under a minute: short windows")
    parser.add_argument("--rounds", type=int, help="default: 2 quick, else 3")
    parser.add_argument("--only", help="only scenarios whose name contains this")
    parser.add_argument("--out", type=Path, default=paths.BUILD, help="folder of the results")
    options = parser.parse_args()
    started, busy = time.monotonic(), os.getloadavg()[0]
    wanted = [s for s in scenarios(is_quick=options.quick) if (options.only or "") in s.name]
    rounds = options.rounds or (2 if options.quick else 3)
    results: list[Result] = []
    with ExitStack() as stack:
        try:
            paths.compile_tools()
        except paths.Unavailable as problem:
            print(f"Nothing measured: {problem}", file=sys.stderr)
            return 1
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="byoi-bench-")))
        direct = stack.enter_context(paths.engine(RATE))
        measured = [direct]
        for start in (paths.nginx_twice, paths.ours):
            try:
                measured.append(stack.enter_context(start(direct.port, folder)))
            except paths.Unavailable as problem:
                print(f"Left out: {problem}", file=sys.stderr)
        results += [
            measure(path, scenario, number)
            for number in range(rounds)
            for scenario in wanted
            for path in measured
            if path is not direct or scenario.streams == 1 or not options.quick
        ]
    print(f"{os.cpu_count()} cores, load {busy:.1f} before and {os.getloadavg()[0]:.1f} after")
    rows = report.rows(results, wanted)
    print(report.text_table(rows))
    print(report.verdict(results, time.monotonic() - started))
    options.out.mkdir(parents=True, exist_ok=True)
    raw = [asdict(result) for result in results]
    (options.out / "result.json").write_text(json.dumps(raw, indent=1))
    (options.out / "result.md").write_text(report.markdown_table(rows))
    whole = all(not result.load["broken"] and not result.load["refused"] for result in results)
    return 0 if whole and any(path.name == "byoi" for path in measured) else 1


if __name__ == "__main__":
    sys.exit(main())
