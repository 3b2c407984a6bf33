"""install.sh among stand-ins of the system's programs: what it refuses, checks, and does."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from packaging.version import Version

SCRIPT = Path(__file__).parents[2] / "installers" / "install.sh"
GUIDE = SCRIPT.parents[1] / "docs" / "install.md"


def test_the_script_has_no_fault_that_shellcheck_knows():
    done = subprocess.run(["shellcheck", SCRIPT], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_guide_shows_the_options_as_the_script_does(newcomer):
    assert newcomer.install("--help").stdout in GUIDE.read_text()


def test_a_download_that_was_cut_off_runs_nothing(newcomer):
    text = (newcomer.dist / "install.sh").read_text()
    before = newcomer.tree()
    for cut in (len(text) - 3, len(text) - 9, len(text) // 2, text.index("main()"), 400):
        (newcomer.dist / "install.sh").write_text(text[:cut])
        done = newcomer.install("--user", "--yes", "--no-start")
        assert done.stdout == ""
    assert newcomer.tree() == before


def test_one_person_needs_no_root_and_the_second_time_changes_nothing(newcomer):
    order = ("--user", "--yes", "--console", "https://c.example", "--mode", "dedicated")
    order = (*order, "--model", "smollm2-135m-instruct", "--model", "owner/name@main")
    done = newcomer.install(*order, BYOI_JOIN_TOKEN="good")
    assert done.returncode == 0, done.stderr + done.stdout
    assert "is installed, and this machine is a node" in done.stdout
    assert [call for call in newcomer.calls() if not call.startswith("status")] == [
        "service install --no-start",
        "config set mode dedicated",
        "models serve smollm2-135m-instruct",
        "models pull --yes owner/name@main",
        "models serve owner/name@main",
        "enroll --no-browser --console https://c.example --join-token-file -",
        "service start",
        "prove --wait 600",
    ]
    program = newcomer.home / ".local/share/byoi/app"
    assert str((program / "current").readlink()) == f"versions/{newcomer.VERSION}"
    described = json.loads((program / "current/installation.json").read_text())
    assert (described["kind"], described["root"]) == ("versions", str(program))
    assert described["service"] is None
    assert list(newcomer.temporary.iterdir()) == []
    assert "good" not in (newcomer.home / ".local/state/byoi-install.log").read_text()

    again = newcomer.install(*order, BYOI_JOIN_TOKEN="good")
    assert again.returncode == 0
    assert "nothing was changed" in again.stdout

    newcomer.install("--user", "--uninstall", "--purge", "--yes")
    left = [each for each in newcomer.tree() if not Path(each).is_dir()]
    assert left == [str(newcomer.home / "calls")]
    assert newcomer.calls()[-1] == "service uninstall"


def test_a_dry_run_shows_every_step_and_leaves_every_file_as_it_was(newcomer):
    before = newcomer.tree()
    done = newcomer.install(
        "--dry-run", "--mode", "idle", "--console", "https://c.example", BYOI_JOIN_TOKEN="good"
    )
    assert done.returncode == 0, done.stderr
    for shown in (
        newcomer.DEB,
        "apt-get install",
        "config set mode idle",
        "byoi enroll",
        "byoi prove",
    ):
        assert shown in done.stdout
    assert "good" not in done.stdout
    assert newcomer.tree() == before


def test_a_models_file_may_have_blanks_in_its_name(newcomer):
    done = newcomer.install("--dry-run", "--yes", "--model", "/mnt/my *.gguf", "--model", "o/n")
    assert done.returncode == 0, done.stderr
    shown = re.findall(r"would run: byoi (models .*)", done.stdout)
    assert shown == ["models serve /mnt/my *.gguf", "models pull --yes o/n", "models serve o/n"]


@pytest.mark.parametrize(
    ("here", "offered", "said"),
    [
        ("0.3.0~rc1", "0.3.0", "apt-get install"),
        ("0.3.0", "0.3.0rc1", "newer than"),
        ("0.3.0~rc1", "0.3.0rc1", "is here already"),
    ],
)
def test_a_pre_release_is_older_than_its_release(newcomer, here, offered, said):
    (newcomer.dist / newcomer.DEB).rename(newcomer.dist / f"byoi-agent_{offered}_amd64.deb")
    newcomer.sign()
    newcomer.stand_in("dpkg-query", f"case $2 in *Version*) echo '{here}' ;; *) echo 'ii ' ;; esac")
    done = newcomer.install("--dry-run", "--yes")
    assert done.returncode == 0, done.stderr
    words = ("apt-get install", "newer than", "is here already")
    assert [each for each in words if each in done.stdout] == [said]


def test_versions_are_told_apart_as_python_does():
    order = (
        "0.2.9 0.2.10 0.3.0.dev4 0.3.0a1 0.3.0b2 0.3.0rc1 0.3.0rc9 0.3.0rc10 0.3.0 0.3.1a1 1.0.0"
    )
    versions = order.split()
    assert versions == sorted(versions, key=Version)
    program = re.search(r"(?ms)^newer_of\(\) \{.*?^\}$", SCRIPT.read_text())[0]
    pairs = [pair for both in pairwise(versions) for pair in (both, both[::-1])]
    asked = "".join(f"newer_of {one} {other}\n" for one, other in pairs)
    told = subprocess.run(
        ["sh", "-eu"], input=f"{program}\n{asked}", capture_output=True, text=True, check=True
    )
    assert told.stdout.split() == [max(pair, key=Version) for pair in pairs], told.stderr


def test_a_dry_run_asks_for_nobodys_password(newcomer):
    newcomer.stand_in("sudo", 'echo "$*" >>"$HOME/asked"; exit 1')
    assert newcomer.install("--dry-run", "--mode", "idle").returncode == 0
    assert not (newcomer.home / "asked").exists()


def test_what_was_broken_off_is_cleared_away_and_the_same_again_goes_on(newcomer):
    program, command = newcomer.home / ".local/share/byoi/app", newcomer.home / ".local/bin/byoi"
    full = newcomer.install("--user", "--yes", "--no-prove", FULL="yes")
    assert full.returncode == 1
    assert "No space left on device" in full.stderr
    assert list((program / "versions").iterdir()) == []
    assert not (program / "current").exists()

    assert newcomer.install("--user", "--yes", "--no-prove").returncode == 0
    for lost in (command, program / "bin/byoi"):
        lost.unlink()
        again = newcomer.install("--user", "--yes", "--no-prove")
        assert again.returncode == 0, again.stderr
        assert "nothing was changed" not in again.stdout
        assert command.resolve() == program / "bin/byoi"
        assert str(program / "current/bin/byoi") in command.read_text()


def test_what_power_cut_off_can_be_taken_away(newcomer):
    app = newcomer.home / ".local/share/byoi/app"
    (app / "versions/0.3.0/bin").mkdir(parents=True)
    done = newcomer.install("--user", "--uninstall", "--yes")
    assert done.returncode == 0, done.stderr
    assert not app.exists()


@pytest.mark.parametrize(("status", "is_taken_away"), [("iF ", True), ("rc ", False)])
def test_a_package_whose_script_failed_is_installed_again_or_taken_away(
    newcomer, status, is_taken_away
):
    newcomer.stand_in("dpkg-query", f"echo '{status}'")
    done = newcomer.install("--dry-run", "--yes")
    assert "apt-get install --yes --allow-downgrades" in done.stdout
    done = newcomer.install("--dry-run", "--uninstall", "--yes")
    assert ("apt-get remove" in done.stdout) is is_taken_away
    assert ("nothing to take away" in done.stdout) is not is_taken_away


def test_without_a_start_the_units_are_there_and_wait(newcomer):
    newcomer.stand_in("systemctl", 'echo running; echo "$*" >>"$HOME/asked"')
    assert newcomer.install("--user", "--yes", "--no-start").returncode == 0
    asked = (newcomer.home / "asked").read_text().splitlines()
    assert "--user disable --now byoi-agent.path byoi-agent.service" in asked
    (newcomer.home / "asked").unlink()
    assert newcomer.install("--user", "--yes", "--no-prove").returncode == 0
    assert "disable" not in (newcomer.home / "asked").read_text()


@pytest.mark.parametrize("checker", ["openssl", "ssh-keygen"])
def test_a_signature_of_somebody_else_is_refused(newcomer, checker):
    (newcomer.bin / ("ssh-keygen" if checker == "openssl" else "openssl")).unlink()
    good = newcomer.install("--user", "--dry-run", "--no-start")
    assert good.returncode == 0, good.stderr
    newcomer.sign(Ed25519PrivateKey.generate())
    done = newcomer.install("--user", "--yes", "--no-start")
    assert done.returncode == 65
    assert "is not the release's: nothing was installed" in done.stderr


def test_without_a_program_that_checks_signatures_nothing_is_installed(newcomer):
    (newcomer.bin / "openssl").unlink()
    (newcomer.bin / "ssh-keygen").unlink()
    done = newcomer.install("--user", "--yes", "--no-start")
    assert done.returncode == 1
    assert "install openssl" in done.stderr
    assert newcomer.tree() == []


def test_a_file_that_is_not_the_signed_one_is_refused(newcomer):
    with (newcomer.dist / newcomer.BUNDLE).open("ab") as file:
        file.write(b"more")
    done = newcomer.install("--user", "--yes", "--no-start")
    assert done.returncode == 65
    assert f"{newcomer.BUNDLE} is not the file that was signed" in done.stderr
    assert not (newcomer.home / ".local/share").exists()


def test_a_wrong_token_leaves_the_program_and_says_how_to_go_on(newcomer):
    done = newcomer.install(
        "--user", "--yes", "--console", "https://c.example", "--join-token-file", "-", given="bad\n"
    )
    assert done.returncode == 69
    assert "this token is not known" in done.stderr
    assert "byoi is installed, but this machine is not enrolled" in done.stderr
    assert (newcomer.home / ".local/share/byoi/app/current/bin/byoi").exists()


@pytest.mark.parametrize("offline", [False, True])
def test_where_the_systems_python_is_too_old_one_is_fetched_or_asked_for(newcomer, offline):
    newer = Path(sys.executable).resolve()
    newcomer.stand_in("python3", f'case "$*" in *version_info*) exit 1 ;; esac; exec {newer} "$@"')
    away = {"OFFLINE": "yes"} if offline else {}
    done = newcomer.install("--user", "--yes", "--no-start", NEWER=str(newer), **away)
    program = newcomer.home / ".local/share/byoi/app"
    if not offline:
        assert done.returncode == 0, done.stderr
        assert list(program.glob("python/*/bin/python3.13"))
        return
    assert done.returncode == 69
    assert "error: no way to github.com" in done.stderr
    assert "none could be fetched (from github.com): install your system's" in done.stderr
    assert not (program / "current").exists()


def test_what_cannot_answer_is_not_called_done(newcomer):
    done = newcomer.install(
        "--user", "--yes", "--console", "https://c.example", BYOI_JOIN_TOKEN="good",
        PROVEN="69", PROOF="ada cannot serve yet: the driver is not loaded; modprobe nvidia",
    )  # fmt: skip
    assert done.returncode == 69
    assert "cannot serve yet: the driver is not loaded; modprobe nvidia" in done.stderr
    assert "Done" not in done.stdout


@pytest.mark.parametrize(
    ("program", "body", "said"),
    [
        ("uname", "echo FreeBSD", "not built for FreeBSD"),
        ("uname", "[ $1 = -m ] && echo riscv64 || echo Linux", "processors of the kind riscv64"),
        ("getconf", "exit 1", "musl"),
        ("getconf", "echo glibc 2.17", "too old"),
        ("getconf", "[ $1 = LONG_BIT ] && echo 32 || echo glibc 2.36", "32 bits"),
        ("systemctl", "echo offline", "systemd does not run here"),
        ("dpkg-query", "printf 'ii '", "two would fight over one service"),
        ("df", "printf 'x\\nx 9 9 2048 1%% /\\n'", "has 2 MiB left"),
        ("sudo", "exit 1", "sudo did not let you"),
    ],
)
def test_a_machine_that_it_cannot_serve_is_told_so_in_a_sentence(newcomer, program, body, said):
    newcomer.stand_in(program, body)
    done = newcomer.install("--yes", "--method", "bundle")
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--insecure-unsigned"], "there is no option --insecure-unsigned"),
        (["--mode", "always"], "--mode is dedicated, idle or scheduled, not always"),
        (["--mode"], "--mode needs a value"),
        (["--console=console.example"], "--console is a URL"),
        (["--purge"], "--purge goes with --uninstall"),
        (["--join-token-file", "/nowhere"], "/nowhere cannot be read"),
        (["--join-token-file", "-"], "there is no join token in -"),
        ([], "there is no terminal to ask on: add --yes"),
    ],
)
def test_a_wrong_command_line_is_told_so_in_a_sentence(newcomer, arguments, said):
    done = newcomer.install(*arguments)
    assert done.returncode == 64
    assert said in done.stderr
