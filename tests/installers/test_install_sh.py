"""install.sh among stand-ins of the system's programs: what it refuses, checks, and does."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from itertools import pairwise
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from packaging.version import Version

SCRIPT = Path(__file__).parents[2] / "installers" / "install.sh"
GUIDE = SCRIPT.parents[1] / "docs" / "install.md"
VERSION = "0.3.0"
BUNDLE = f"byoi-agent-{VERSION}-linux-x86_64.tar.gz"
DEB = f"byoi-agent_{VERSION}_amd64.deb"
SECONDS = 100

STAND_INS = {
    "uname": "case $1 in -s) echo Linux ;; -m) echo x86_64 ;; *) echo 6.1.0 ;; esac",
    "getconf": "case $1 in LONG_BIT) echo 64 ;; *) echo glibc 2.36 ;; esac",
    "id": "case $1 in -u) echo 1000 ;; *) echo ada ;; esac",
    "systemctl": "echo running",
    "df": "printf 'Filesystem\\nx 9 9 9000000 1%% /\\n'",
    "dpkg": ":",
    "dpkg-query": "exit 1",
    "apt-cache": "echo '  Candidate: 3.11.2-1+b1'",
    "apt-get": "echo apt-get $* >&2; exit 1",
    "sudo": '[ "$1" = true ]',
}
# fmt: off
TOOLS = (
    "awk", "base64", "basename", "bash", "cat", "chmod", "cksum", "cmp", "cp", "curl", "cut",
    "dirname", "env", "grep", "gzip", "head", "install", "ln", "mkdir", "mktemp", "mv", "openssl",
    "python3", "readlink", "rm", "sed", "sh", "sha256sum", "sleep", "sort", "ssh-keygen", "tail",
    "tar", "tee", "test", "tr",
)
# fmt: on

UV = """#!/bin/sh
case $1 in
venv) for home; do :; done
    mkdir -p "$home/bin"; ln -s "$(command -v python3)" "$home/bin/python" ;;
pip) [ -z "${FULL:-}" ] || { echo "error: No space left on device" >&2; exit 2; }
    while [ "$1" != --python ]; do shift; done
    cp "$BYOI_STAND_IN" "$(dirname "$2")/byoi" ;;
python) [ -z "${OFFLINE:-}" ] || { echo "error: no way to github.com" >&2; exit 2; }
    while [ "$1" != --install-dir ]; do shift; done
    mkdir -p "$2/cpython-3.13.1/bin"; ln -s "$NEWER" "$2/cpython-3.13.1/bin/python3.13" ;;
esac
"""
BYOI = """#!/bin/sh
printf '%s\\n' "$*" >>"$HOME/calls"
case $1 in
enroll) IFS= read -r token
    [ "$token" = good ] || { echo "byoi: this token is not known" >&2; exit 1; }
    mkdir -p "$HOME/.local/state/byoi"; echo {} >"$HOME/.local/state/byoi/identity.json" ;;
service) case "$*" in "service uninstall --purge") exit 64 ;; esac ;;
status) echo '{"is_serving": true, "link": {"state": "online"}}' ;;
prove) echo "${PROOF:-ada computes on the processor: m answered in 0.20 s}"; exit "${PROVEN:-0}" ;;
esac
"""


class Newcomer:
    """A home, a folder of release files, and a PATH with nothing but what the test gives it."""

    def __init__(self, folder: Path) -> None:
        self.home, self.dist, self.bin = folder / "home", folder / "dist", folder / "bin"
        self.temporary = folder / "tmp"
        for made in (self.home, self.dist, self.bin, self.temporary):
            made.mkdir()
        for tool in TOOLS:
            (self.bin / tool).symlink_to(shutil.which(tool))
        for name, body in STAND_INS.items():
            self.stand_in(name, body)
        (folder / "byoi").write_text(BYOI)
        (folder / "byoi").chmod(0o755)
        self.stand_in_byoi = folder / "byoi"
        self.key = Ed25519PrivateKey.generate()
        self.publish()

    def stand_in(self, name: str, body: str) -> None:
        (self.bin / name).unlink(missing_ok=True)
        (self.bin / name).write_text(f"#!/bin/sh\n{body}\n")
        (self.bin / name).chmod(0o755)

    def publish(self) -> None:
        (self.dist / DEB).write_bytes(b"a package")
        (self.dist / BUNDLE).write_bytes(bundle())
        self.sign()

    def sign(self, key: Ed25519PrivateKey | None = None) -> None:
        files = sorted(each for each in self.dist.iterdir() if each.name.startswith("byoi-"))
        sums = "".join(f"{sha256(each)}  {each.name}\n" for each in files).encode()
        (self.dist / "SHA256SUMS").write_bytes(sums)
        (self.dist / "SHA256SUMS.sig").write_bytes((key or self.key).sign(sums))
        (self.dist / "SHA256SUMS.sshsig").write_text(ssh_signature(key or self.key, sums))
        public = self.key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        text = SCRIPT.read_text().replace("@RELEASE_PUBLIC_KEY@", public.decode().strip())
        (self.dist / "install.sh").write_text(text.replace("@RELEASE_URL@", str(self.dist)))

    def install(self, *arguments: str, given: str = "", **env: str):
        return subprocess.run(
            ["sh", self.dist / "install.sh", *arguments],
            input=given, capture_output=True, text=True, timeout=SECONDS, check=False,
            start_new_session=True,  # without a terminal
            env={"PATH": str(self.bin), "HOME": str(self.home), "TMPDIR": str(self.temporary),
                 "BYOI_STAND_IN": str(self.stand_in_byoi), **env},
        )  # fmt: skip

    def tree(self) -> list[str]:
        return sorted(str(each) for top in (self.home, self.temporary) for each in top.rglob("*"))

    def calls(self) -> list[str]:
        return (self.home / "calls").read_text().splitlines()


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def bundle() -> bytes:
    """A bundle whose uv is a stand-in, which makes an environment of a stand-in for byoi."""
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w") as packed:
        packed.writestr("uv-1.0.data/scripts/uv", UV)
    known = [f"3.{minor}" for minor in range(11, 20)]
    contents = {
        "wheels/uv-1.0-py3-none-any.whl": wheel.getvalue(),
        "requirements.txt": b"",
        "release.json": json.dumps({"pythons": known}).encode(),
    }
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, data in contents.items():
            entry = tarfile.TarInfo(f"byoi-agent-{VERSION}/{name}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return made.getvalue()


def ssh_signature(key: Ed25519PrivateKey, message: bytes) -> str:
    """As `ssh-keygen -Y sign` makes it (PROTOCOL.sshsig)."""

    def text(data: bytes) -> bytes:
        return len(data).to_bytes(4) + data

    raw = key.public_key().public_bytes_raw()
    namespace = text(b"byoi-release") + text(b"") + text(b"sha512")
    signature = key.sign(b"SSHSIG" + namespace + text(hashlib.sha512(message).digest()))
    public = text(b"ssh-ed25519") + text(raw)
    blob = b"SSHSIG" + (1).to_bytes(4) + text(public) + namespace
    blob += text(text(b"ssh-ed25519") + text(signature))
    body = "\n".join(re.findall(".{1,70}", base64.b64encode(blob).decode()))
    return f"-----BEGIN SSH SIGNATURE-----\n{body}\n-----END SSH SIGNATURE-----\n"


@pytest.fixture
def newcomer(tmp_path):
    return Newcomer(tmp_path)


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
    assert str((program / "current").readlink()) == f"versions/{VERSION}"
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
    for shown in (DEB, "apt-get install", "config set mode idle", "byoi enroll", "byoi prove"):
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
    (newcomer.dist / DEB).rename(newcomer.dist / f"byoi-agent_{offered}_amd64.deb")
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
    with (newcomer.dist / BUNDLE).open("ab") as file:
        file.write(b"more")
    done = newcomer.install("--user", "--yes", "--no-start")
    assert done.returncode == 65
    assert f"{BUNDLE} is not the file that was signed" in done.stderr
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
