"""install.sh where it is broken off, where something else is at work, and where it may not look."""

from __future__ import annotations

import shutil


def test_a_signal_in_the_last_step_takes_nothing_away_that_runs(newcomer):
    real = shutil.which("python3")
    last = f'{real} "$@"; kill -TERM $PPID; exit 0'
    newcomer.stand_in("python3", f'case "$*" in *os.replace*) {last} ;; esac; exec {real} "$@"')
    assert newcomer.install("--user", "--yes", "--no-start").returncode == 143
    assert (newcomer.home / ".local/share/byoi/app/current/bin/byoi").exists()
