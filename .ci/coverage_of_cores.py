"""Each core reaches all its branches from its own test file, run alone.

A core that only other rooms' tests reach is not tested: nobody reads there what it promises.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CORES = {
    "admission", "advertise", "attribution", "calendar", "choose", "codec", "consents", "earnings",
    "energy", "eviction", "forecast", "forecast_forms", "hand_backs", "handshake", "limits",
    "machine", "memory_back", "meter", "mux", "policy", "precedence", "quotas", "reclaims",
    "recollection", "resume", "rules", "stickiness", "strangers", "tariff",
}  # fmt: skip
"""File names of pure modules; everything in `planning/` is one as well."""

PLACES = {
    "availability/sessions.py", "availability/words.py", "config/windows.py", "models/listing.py",
    "sizes.py",
}  # fmt: skip
"""Pure modules whose names others have as well, below their package."""


def cores() -> list[tuple[Path, Path]]:
    """Each core with its test file, both relative to the root."""
    found = []
    for package in ("wire", "agent", "console"):
        source = ROOT / package / f"byoi_{package}"
        for path in sorted(source.rglob("*.py")):
            is_planning = path.parent.name == "planning" and path.stem != "__init__"
            place = path.relative_to(source).as_posix()
            if path.stem in CORES or place in PLACES or is_planning:
                test = Path("tests", package, path.parent.relative_to(source), f"test_{path.name}")
                found.append((path.relative_to(ROOT), test))
    return found


def complaint(core: Path, test: Path) -> str | None:
    """What is missing, or None."""
    if not (ROOT / test).exists():
        return f"{core}: has no test file {test}"
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "COVERAGE_FILE": f"{folder}/data"}
        python = [sys.executable, "-m"]
        ran = subprocess.run(
            [*python, "coverage", "run", "--branch", f"--include={core}",
             "-m", "pytest", "-q", "-p", "no:cacheprovider", str(test)],
            cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if ran.returncode:
            return f"{test}: fails alone\n{ran.stdout[-2000:]}{ran.stderr[-500:]}"
        report = subprocess.run(
            [*python, "coverage", "report", "--show-missing", "--fail-under=100"],
            cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
    return f"{core}: not all branches from {test}\n{report.stdout}" if report.returncode else None


def main() -> int:
    """The number of cores that fall short, as an exit code."""
    pairs = cores()
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        complaints = [text for text in pool.map(lambda pair: complaint(*pair), pairs) if text]
    for text in complaints:
        print(text)
    print(f"{len(pairs) - len(complaints)} of {len(pairs)} cores covered by their own tests")
    return min(len(complaints), 1)


if __name__ == "__main__":
    sys.exit(main())
