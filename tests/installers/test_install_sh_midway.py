"""install.sh where it is broken off, where something else is at work, and where it may not look."""

from __future__ import annotations

import os
import shutil

import pytest

from byoi_agent.config.lock import StateLock
from byoi_agent.update import told
from byoi_agent.update.desk import LOCK

NOBODY = 2**22
"""Linux numbers no process so high (proc(5): pid_max)."""


def test_a_signal_in_the_last_step_takes_nothing_away_that_runs(newcomer):
    real = shutil.which("python3")
    last = f'{real} "$@"; kill -TERM $PPID; exit 0'
    newcomer.stand_in("python3", f'case "$*" in *os.replace*) {last} ;; esac; exec {real} "$@"')
    assert newcomer.install("--user", "--yes", "--no-start").returncode == 143
    assert (newcomer.home / ".local/share/byoi/app/current/bin/byoi").exists()


def test_while_an_update_proves_its_version_none_is_put_in_its_place(newcomer):
    app = newcomer.home / ".local/share/byoi/app"
    (app / "update").mkdir(parents=True)
    told.write(app / "update", told.Told(underway="0.2.0"))
    with StateLock(app / "update" / LOCK):
        done = newcomer.install("--user", "--yes", "--no-start")
    assert done.returncode == 1
    assert "byoi updates itself to 0.2.0 just now" in done.stderr
    assert "byoi update --status" in done.stderr
    assert not (app / "current").exists()


@pytest.mark.parametrize("underway", [None, "0.2.0"])
def test_an_updater_that_only_looks_or_was_broken_off_is_in_nobody_s_way(newcomer, underway):
    update = newcomer.home / ".local/share/byoi/app/update"
    update.mkdir(parents=True)
    told.write(update, told.Told(underway=underway))
    (update / LOCK).write_text(f"{NOBODY if underway else os.getpid()}\n")
    done = newcomer.install("--user", "--yes", "--no-start")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("closed", ["token", "."])
def test_a_dry_run_goes_on_where_only_root_may_look_at_the_token(newcomer, tmp_path, closed):
    folder = tmp_path / "of root"
    folder.mkdir()
    (folder / "token").write_text("good")
    (folder / closed).chmod(0)
    as_person = [shutil.which("setpriv"), "--bounding-set", "-dac_override,-dac_read_search"]
    words = ["--dry-run", "--console", "https://c.example", "--join-token-file", folder / "token"]
    done = newcomer.install(*words, before=as_person if os.getuid() == 0 else ())
    folder.chmod(0o700)
    assert done.returncode == 0, done.stderr
    assert f"Only root may look at {folder}/token" in done.stderr
    assert "would run: byoi enroll" in done.stdout


def test_a_dry_run_tells_of_a_token_that_lies_nowhere(newcomer, tmp_path):
    lost = tmp_path / "no folder/token"
    words = ["--dry-run", "--console", "https://c.example", "--join-token-file", str(lost)]
    done = newcomer.install(*words)
    assert done.returncode == 64
    assert f"{lost} cannot be read" in done.stderr
