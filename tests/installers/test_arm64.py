"""The package for arm64: what it brings is run on Debian's Python by an emulated processor."""

from __future__ import annotations

import fcntl
import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
BUILD_SECONDS = RUN_SECONDS = 900
PACKAGES = ("python3", "ca-certificates", "libgomp1", "libstdc++6")
QEMU = "qemu-aarch64-static"
ACCOUNTS = {
    "passwd": "root:x:0:0::/root:/bin/sh\nbyoi:x:990:990::/var/lib/byoi:/bin/sh\n",
    "group": "root:x:0:\nbyoi:x:990:\n",
}
WITHIN = """
cd "$1" && mkdir upper work root && mount -t overlay overlay \
    -o "lowerdir=package:$2,upperdir=upper,workdir=work" root &&
mkdir -p root/proc root/dev && mount -t proc proc root/proc && mount --rbind /dev root/dev &&
shift 2 && exec env -i PATH=/usr/sbin:/usr/bin HOME=/root LANG=C.UTF-8 chroot root "$@"
"""


def load(name: str):
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


debs, machinery = load("debs"), load("machine")


@pytest.fixture(scope="module")
def base():
    """The files of Debian 12's packages for arm64: unpacked, none of their scripts was run."""
    if (lacking := machinery.what_is_lacking()) is not None:
        pytest.skip(lacking)
    for program, package in ((QEMU, "qemu-user-static"), ("mmdebstrap", "mmdebstrap")):
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}: apt install {package}")
    folder = machinery.STORE / "arm64-bookworm"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            making = folder.with_suffix(".making")
            shutil.rmtree(making, ignore_errors=True)
            alone = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--")
            unpack = ("mmdebstrap", "--quiet", "--variant=extract", "--architectures=arm64")
            only = ("--skip=check/qemu", f"--include={','.join(PACKAGES)}", "bookworm")
            subprocess.run(
                [*alone, *unpack, *only, making, machinery.DEBIAN],
                check=True,
                timeout=BUILD_SECONDS,
            )
            making.rename(folder)
    return folder


@pytest.fixture(scope="module")
def installed():
    """A folder with what the package holds, and what its script and systemd would have made."""
    with debs.scratch() as scratch:
        build = debs.start_build(Path(scratch), debs.NEW, "--arch", "arm64")
        package = build.communicate(timeout=BUILD_SECONDS)[0].strip()
        assert build.returncode == 0
        tree = Path(scratch, "package")
        subprocess.run(["dpkg-deb", "--extract", package, tree], check=True)
        shutil.copy(shutil.which(QEMU), tree / "usr/bin")
        for name, text in ACCOUNTS.items():
            (tree / "etc").mkdir(exist_ok=True)
            (tree / "etc" / name).write_text(text)
        for folder in ("etc/byoi", "var/lib/byoi", "var/cache/byoi", "run/byoi"):
            (tree / folder).mkdir(parents=True)
            shutil.chown(tree / folder, 990, 990)
            (tree / folder).chmod(0o700)
        shutil.copy(tree / "usr/share/byoi-agent/config.toml", tree / "etc/byoi")
        yield tree


@pytest.fixture
def byoi(base, installed):
    """Run the command in there."""

    def run(*words: str) -> str:
        with debs.scratch() as scratch:
            (Path(scratch) / "package").symlink_to(installed)
            program = (f"/usr/bin/{QEMU}", "/usr/lib/byoi-agent/bin/python3", "-I")
            done = subprocess.run(
                [
                    *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--"),
                    *("sh", "-c", WITHIN, "sh", scratch, base),
                    *(*program, "/usr/lib/byoi-agent/bin/byoi", *words),
                ],
                capture_output=True,
                text=True,
                timeout=RUN_SECONDS,
                check=False,
            )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.mark.slow
@pytest.mark.installer
def test_the_command_runs_and_sees_the_machine(byoi):
    assert byoi("version").startswith(f"byoi {debs.NEW} (byoi.v1, Python 3.11")
    # On a busy machine a driver may be given up as silent before it was looked for.
    assert {each["kind"] for each in json.loads(byoi("devices", "--json"))} <= {"cpu"}
