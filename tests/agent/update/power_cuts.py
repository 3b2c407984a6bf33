"""Runs an updater in processes of its own, and kills each at another point: `FOLDER good|broken`.

Prints, for every pair of points at which it was killed, what was there after it had gone on.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import sys
from pathlib import Path

from byoi_agent.update.journal import Journal
from byoi_agent.update.supervisor import Updater

HERE = Path(__file__).parent


def stand_ins():
    spec = importlib.util.spec_from_file_location("stand_ins", HERE / "conftest.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


STAND_INS = stand_ins()


class Power:
    """Counts points, and goes at one of them."""

    def __init__(self, goes_at):
        self.left = goes_at

    def point(self):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def guarded(base, names, power):
    """A class whose methods of these names may be cut off before and after."""

    def of(name):
        def method(self, *words):
            power.point()
            done = getattr(base, name)(self, *words)
            power.point()
            return done

        return method

    return type(base.__name__, (base,), {name: of(name) for name in names})


DONE = ("drain", "stop", "prove", "step_down", "fit_settings", "renew_service")


def update(folder, works, goes_at):
    """One updater's life; killed at that point."""
    power = Power(goes_at)
    installer = guarded(STAND_INS.StandInInstaller, ("stage", "keep", "point_at", "clear"), power)(
        folder / "app"
    )
    node_kind = guarded(STAND_INS.StandInNode, DONE, power)

    class Node(node_kind):
        def start(self):
            power.point()
            (folder / "runs").write_text(self.installer.current)
            power.point()

    node = Node(installer, {"1.0.0", "1.1.0"} if works else {"1.0.0"})
    journal = guarded(Journal, ("write",), power)(folder / "journal.json", lambda: 1.0)
    journal.learn("1.0.0", 2, 1)
    updater = Updater(journal, installer, node, lambda _: folder / "bundle", lambda _: None)
    if not updater.resume() and not journal.history:
        updater.become("1.0.0", "1.1.0")


def life(folder, works, goes_at):
    """Whether it came to its end."""
    if (child := os.fork()) == 0:
        update(folder, works, goes_at)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return False
    assert os.WEXITSTATUS(status) == 0, f"fault at {goes_at}"
    return True


def main():
    top, works = Path(sys.argv[1]), sys.argv[2] == "good"
    ends, first = [], 1
    while True:
        folder = top / f"{first}"
        was_whole = cut_at(folder, works, (first, 0), ends)
        second = 1 + first % 5
        cut_at(top / f"{first}-{second}", works, (first, second), ends)
        if was_whole:
            print(json.dumps(ends))
            return
        first += 1


def cut_at(folder, works, cuts, ends):
    folder.mkdir()
    (folder / "bundle").write_bytes(b"1.1.0")
    (folder / "runs").write_text("1.0.0")
    was_whole = life(folder, works, cuts[0])
    if cuts[1]:
        life(folder, works, cuts[1])
    assert life(folder, works, 0)
    record = json.loads((folder / "journal.json").read_bytes())
    end = {
        "state": record["state"],
        "outcomes": [entry["outcome"] for entry in record["history"]],
        "current": (folder / "app/current").read_text(),
        "runs": (folder / "runs").read_text(),
    }
    ends.append((cuts, end))
    shutil.rmtree(folder)
    return was_whole


if __name__ == "__main__":
    main()
