"""Run by the setup with the new environment's own Python: makes that an installed version.

Only the standard library and what the agent brings; nothing is imported before it is needed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from pathlib import Path, PureWindowsPath

SERVICE_ACCOUNT = r"NT SERVICE\byoi"
END_SECONDS = 5


def installation(release: dict[str, object], root: str, data: str) -> dict[str, object]:
    """What `installation.json` says: how the agent came here, and the service's places."""
    kept = PureWindowsPath(data)
    return {
        "kind": "windows",
        "version": release["version"],
        "index": release.get("index"),
        "root": root,
        "service": {
            "account": SERVICE_ACCOUNT,
            "state": str(kept / "state"),
            "cache": str(kept / "cache"),
            "runtime": str(kept / "run"),
            "config": str(kept / "config.toml"),
        },
    }


def place(prefix: Path, root: str, data: str, release: Path) -> None:
    """Put in all that makes an environment an installed version; `installation.json` comes last."""
    about = json.loads((release / "release.json").read_text(encoding="utf-8"))
    for name in ("root.json", "release.json", "place.py"):
        if (release / name).is_file():
            shutil.copyfile(release / name, prefix / name)
    text = json.dumps(installation(about, root, data), indent=2)
    (prefix / "installation.json").write_text(text + "\n", encoding="utf-8")


def end_programs(root: Path) -> None:
    """End what users run from below `root`: it would hold its files. Not us, nor who started us."""
    import psutil  # type: ignore[import-untyped,unused-ignore]  # noqa: PLC0415 the environment's

    ours = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    ending = [
        process
        for process in psutil.process_iter(["exe"])
        if process.pid not in ours and is_below(process.info["exe"], root)
    ]
    for process in ending:
        process.kill()
    psutil.wait_procs(ending, timeout=END_SECONDS)


def is_below(program: str | None, root: Path) -> bool:
    """Whether a program's file lies below a folder, as Windows compares names."""
    return program is not None and PureWindowsPath(program).is_relative_to(PureWindowsPath(root))


def main() -> int:
    """Place the environment that runs this, or end what runs from its tree."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--root", required=True, metavar="FOLDER")
    parser.add_argument("--data", metavar="FOLDER")
    parser.add_argument("--release", type=Path, metavar="FOLDER")
    parser.add_argument("--end-programs", action="store_true")
    arguments = parser.parse_args()
    if arguments.end_programs:
        end_programs(Path(arguments.root))
        return 0
    place(Path(sys.prefix), arguments.root, arguments.data, arguments.release)
    return 0


if __name__ == "__main__":
    sys.exit(main())
