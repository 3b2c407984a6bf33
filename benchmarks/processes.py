"""What processes cost, read from /proc: CPU time, and memory that is resident."""

from __future__ import annotations

from pathlib import Path

_PROC = Path("/proc")


def tree(root: int) -> list[int]:
    """A process and all below it, as they are now."""
    children: dict[int, list[int]] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and (parent := _parent(entry)) is not None:
            children.setdefault(parent, []).append(int(entry.name))
    found, waiting = [], [root]
    while waiting:
        found.append(pid := waiting.pop())
        waiting += children.get(pid, [])
    return found


def cpu_seconds(pids: list[int]) -> float:
    """User and system time of these processes' living threads, to the nanosecond."""
    total = 0
    for pid in pids:
        for thread in _PROC.glob(f"{pid}/task/*/schedstat"):
            try:
                total += int(thread.read_text().split()[0])
            except OSError:  # it ended meanwhile
                continue
    return total / 1e9


def resident_bytes(pids: list[int]) -> int:
    """Resident memory, each process's own count added up."""
    total = 0
    for pid in pids:
        try:
            status = (_PROC / str(pid) / "status").read_text()
        except OSError:
            continue
        total += sum(
            int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS")
        )
    return total


def _parent(entry: Path) -> int | None:
    try:
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None
