"""A Debian of a test's own: a folder with namespaces around it, systemd as its first process.

It shares the network of the machine that it runs on, so 127.0.0.1 is the same place inside and
outside, and so are ports. Nothing of it outlives the process that made it (see keep.sh).
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import functools
import hashlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Self

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
STORE = Path.home() / ".cache" / "byoi-tests"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
DEBIAN = "http://deb.debian.org/debian"
UBUNTU = "http://archive.ubuntu.com/ubuntu"
OF_UBUNTU = ("noble", "resolute")
KEYS_OF_UBUNTU = "pool/main/u/ubuntu-keyring/ubuntu-keyring_2023.11.28.1_all.deb"
KEYS_OF_UBUNTU_SHA256 = "36de43b15853ccae0028e9a767613770c704833f82586f28eb262f0311adb8a8"
PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "ca-certificates", "python3", "curl", "procps"),
    "libgomp1",  # what llama.cpp's wheel needs of the system
)
WITHOUT_KERNEL = """
cd "$1/etc/systemd/system" 2>/dev/null && ln -s /dev/null systemd-modules-load.service || :
"""  # which newer ones call a failure
CLONE_NEWNET = 0x40000000
SYSTEMD = "/lib/systemd/systemd"
BOOT_SECONDS = 300.0
STOP_SECONDS = 300.0
RUN_SECONDS = 600.0
MAKE_BASE_SECONDS = 900
MAKE_BASE_ATTEMPTS = 3
"""A mirror's hiccup is nobody's fault here."""

TRY_OVERLAY = """
cd "$1" && mkdir lower upper work root &&
mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work root && umount root
"""


class MissingError(Exception):
    """This machine cannot make another; the text says what it lacks."""


def base(suite: str = "bookworm", packages: tuple[str, ...] = PACKAGES) -> Path:
    """The folder of an untouched Debian, which machines read and never write; made once.

    Raises:
        MissingError: a program, the network, or leave to make a machine is missing.
    """
    if (lacking := what_is_lacking()) is not None:
        raise MissingError(lacking)
    key = hashlib.sha256(" ".join(packages).encode()).hexdigest()[:8]
    folder = STORE / f"{suite}-{key}"
    STORE.mkdir(parents=True, exist_ok=True)
    with (STORE / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _make_base(folder, suite, packages)
    return folder


@functools.cache
def what_is_lacking() -> str | None:
    """Why no machine can be had here, or None; `.ci/run` asks it too."""
    if os.geteuid() != 0:
        return "needs root: a machine of its own has mounts of its own"
    STORE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=STORE, prefix="trying-") as scratch:
        for refused, program in (
            ("namespaces of its own", ("true",)),
            (f"overlayfs on {STORE}", ("sh", "-c", TRY_OVERLAY, "sh", scratch)),
        ):
            within = ("unshare", "--mount", "--pid", "--fork", "--cgroup", "--uts", "--ipc", "--")
            done = subprocess.run([*within, *program], capture_output=True, text=True, check=False)
            if done.returncode:
                said = done.stderr.strip().replace("\n", "; ")
                return f"needs {refused}, which this machine does not let it have: {said}"
    return None


def _make_base(folder: Path, suite: str, packages: tuple[str, ...]) -> None:
    if (mmdebstrap := shutil.which("mmdebstrap")) is None:
        raise MissingError("needs mmdebstrap: apt install mmdebstrap")
    for attempt in range(1, MAKE_BASE_ATTEMPTS + 1):
        with tempfile.TemporaryDirectory(dir=STORE, prefix="making-") as made:
            Path(made).chmod(0o755)
            done = _bootstrap(mmdebstrap, suite, packages, f"{made}/root")
            if done.returncode == 0:
                Path(made, "root").rename(folder)
                return
        if attempt == MAKE_BASE_ATTEMPTS:
            raise MissingError(f"needs a mirror; mmdebstrap said: {done.stderr[-300:]}")


def _bootstrap(
    mmdebstrap: str, suite: str, packages: tuple[str, ...], root: str
) -> subprocess.CompletedProcess[str]:
    """In namespaces of its own: of one that is killed no process and no mount stays behind."""
    keys = ()
    if suite in OF_UBUNTU:
        keys = (f"--keyring={_keys_of_ubuntu(Path(root).parent)}",)
    return subprocess.run(
        [
            *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"),
            *(mmdebstrap, "--quiet", "--variant=minbase"),
            f"--include={','.join(('apt', *packages))}",  # which Ubuntu counts less than Debian
            "--customize-hook=rm -f $1/etc/hostname",
            f"--customize-hook={WITHOUT_KERNEL.strip()}",
            *keys,
            *(suite, root, UBUNTU if suite in OF_UBUNTU else DEBIAN),
        ],
        capture_output=True,
        text=True,
        timeout=MAKE_BASE_SECONDS,
        check=False,
    )


def _keys_of_ubuntu(scratch: Path) -> Path:
    """Whose signatures its mirror bears, which Debian knows nothing of; the package is pinned."""
    package = scratch / "keys.deb"
    try:
        with urllib.request.urlopen(f"{UBUNTU}/{KEYS_OF_UBUNTU}", timeout=60) as answer:
            package.write_bytes(answer.read())
    except OSError as error:
        raise MissingError(f"needs {UBUNTU}: {error}") from error
    assert hashlib.sha256(package.read_bytes()).hexdigest() == KEYS_OF_UBUNTU_SHA256
    subprocess.run(["dpkg-deb", "--extract", package, scratch / "keys"], check=True)
    return scratch / "keys/usr/share/keyrings/ubuntu-archive-keyring.gpg"


class Machine:
    """Sole owner of one machine, which lives from `start` to `close`; a context does both.

    `boot=False` leaves systemd out: a bare root to run programs in. What lies in `layers`, made by
    `freeze`, was done to the untouched `base` before. `network=False` leaves it a loopback of its
    own and no way out.
    """

    def __init__(self, base: Path, *layers: Path, boot: bool = True, network: bool = True) -> None:
        self._below = ":".join(map(str, [*reversed(layers), base]))
        self._boots = boot
        self._own_network = () if network else ("--net",)
        self._folder = Path()
        self._keeper: subprocess.Popen[bytes] | None = None
        self._inner: subprocess.Popen[bytes] | None = None
        self._first_process = 0

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def is_running(self) -> bool:
        return self._inner is not None and self._inner.poll() is None

    @property
    def root(self) -> Path:
        """Its file system as seen from outside, whether it runs or not.

        A symbolic link that starts with "/" leads out of it, so follow none.
        """
        if self.is_running:
            return Path(f"/proc/{self._first_process}/root")
        return Path(f"/proc/{self._keeper_pid}/root{self._folder}/root")

    def start(self) -> Machine:
        """Put it together, and boot it."""
        parent = STORE / "machines"
        parent.mkdir(parents=True, exist_ok=True)
        self._folder = parent / f"byoi-{secrets.token_hex(4)}"  # which is its host name too
        self._folder.mkdir()
        self._keeper = subprocess.Popen(
            [
                *("unshare", "--mount", "--pid", "--fork", "--"),
                *(HERE / "keep.sh", self._folder, self._below),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # an interrupt from the keyboard is for the tests
        )
        if self._keeper.stdout.readline() != b"ready\n":
            self.close()
            raise MissingError("needs leave to mount: see what keep.sh said")
        try:
            if CERTIFICATES.exists():
                self.copy_in(CERTIFICATES, CERTIFICATES)
            self._never_by_the_hour()
            self.boot()
        except BaseException:
            self.close()
            raise
        return self

    def _never_by_the_hour(self) -> None:
        """A full hour in the midst of a test must not begin an update."""
        for scope in ("system", "user"):
            folder = self.root / "etc/systemd" / scope / "byoi-update.timer.d"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "never.conf").write_text("[Timer]\nOnCalendar=\nOnCalendar=2099-01-01\n")

    def boot(self) -> None:
        """Switch on; returns when systemd has started all that it starts by itself."""
        assert not self.is_running
        program = (
            (SYSTEMD, "--system", "--log-target=console") if self._boots else ("sleep", "infinity")
        )
        enter = f'echo 0 >"$1/cgroups/{self._folder.name}/cgroup.procs"; shift; exec "$@"'
        with (self._folder / "console").open("ab") as console:
            self._inner = subprocess.Popen(
                [
                    *("nsenter", "--target", str(self._keeper_pid), "--mount", "--pid", "--"),
                    *("sh", "-c", enter, "sh", self._folder),
                    *("unshare", "--cgroup", "--mount", "--pid", "--fork", "--uts", "--ipc"),
                    *(*self._own_network, "--"),
                    *(HERE / "enter.sh", self._folder, *program),
                ],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
            )
        self._first_process = self._find_first_process(Path(program[0]).name)
        if self._boots:
            for _ in _polls(BOOT_SECONDS):
                said = self.run("systemctl", "is-system-running", "--wait", check=False)
                if said.strip() in {"running", "degraded"}:
                    break

    def _find_first_process(self, name: str) -> int:
        """Its number outside, once it lives in the machine's own root and in no other."""
        for _ in _polls(BOOT_SECONDS):
            assert self._inner.poll() is None, self._said()
            with contextlib.suppress(psutil.NoSuchProcess, IndexError):
                unshare = psutil.Process(self._inner.pid).children()[0]
                first = unshare.children()[0]
                if first.name() == name:
                    return first.pid
        raise AssertionError("unreachable")

    def _said(self) -> str:
        """The end of what its console showed."""
        return (self._folder / "console").read_text(errors="replace")[-4000:]

    def state(self) -> str:
        """`running`, or what systemd says else, with what it says of the units that failed."""
        said = self.systemctl("is-system-running", check=False).strip()
        if said == "running":
            return said
        failed = self.systemctl("list-units", "--failed", "--plain", "--no-legend", check=False)
        told = [self.journal(line.split()[0])[-2000:] for line in failed.splitlines()]
        return "\n".join([said, failed, *told])

    def stop(self) -> None:
        """Switch off as its owner does, services being stopped first."""
        self.run("systemctl", "poweroff", check=False)
        try:
            self._inner.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still on:\n{self._said()}") from None

    def cut_power(self) -> None:
        """Every process of it is gone at once; what was written stays."""
        psutil.Process(self._first_process).kill()
        self._inner.wait(STOP_SECONDS)

    def reboot(self) -> None:
        self.stop()
        self.boot()

    def freeze(self, layer: Path) -> None:
        """Keep what was changed, now that it is switched off, for others to begin with."""
        assert not self.is_running
        subprocess.run(["cp", "--archive", self._folder / "upper", layer], check=True)

    def close(self) -> None:
        """Leave nothing of it behind."""
        if self._keeper is None:
            return
        self._keeper.stdin.close()
        self._keeper.stdout.close()
        self._keeper.wait(STOP_SECONDS)
        if self._inner is not None:
            self._inner.wait(STOP_SECONDS)
        self._keeper = None

    def start_program(self, *argv: str | Path, **env: str) -> subprocess.Popen[str]:
        """Start a program in it, as root; its output comes through pipes."""
        return subprocess.Popen(
            self.command(*argv, **env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def command(self, *argv: str | Path, **env: str) -> list[str]:
        """What to type outside, so that `argv` runs inside."""
        assert self.is_running
        return [
            *("nsenter", "--target", str(self._first_process)),
            *("--mount", "--pid", "--uts", "--ipc", "--cgroup", "--root", "--wd"),
            *(*self._own_network, "--"),
            *("env", "-i", "HOME=/root", "LANG=C.UTF-8", "TERM=dumb", "container=byoi-test"),
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "DEBIAN_FRONTEND=noninteractive",
            *(f"{name}={value}" for name, value in env.items()),
            *map(str, argv),
        ]

    def run(
        self, *argv: str | Path, check: bool = True, seconds: float = RUN_SECONDS, **env: str
    ) -> str:
        """Run a program in it, as root; what it wrote to its standard output."""
        done = self.execute(*argv, seconds=seconds, **env)
        assert not check or done.returncode == 0, (
            f"{argv} ended with {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        )
        return done.stdout

    def execute(
        self, *argv: str | Path, seconds: float = RUN_SECONDS, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """The same for who wants the exit status and the standard error too."""
        return subprocess.run(
            self.command(*argv, **env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def listen(self, port: int) -> socket.socket:
        """A socket of ours that listens on its own loopback, where it has no other network."""

        def made() -> socket.socket:
            # The thread goes over, and ends there; a socket stays where it was made.
            with Path(f"/proc/{self._first_process}/ns/net").open() as network:
                if ctypes.CDLL(None, use_errno=True).setns(network.fileno(), CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns")
            return socket.create_server(("127.0.0.1", port))

        with ThreadPoolExecutor(1) as other:
            return other.submit(made).result()

    def systemctl(self, *argv: str, check: bool = True) -> str:
        return self.run("systemctl", *argv, check=check)

    def journal(self, unit: str | None = None) -> str:
        of_unit = () if unit is None else ("--unit", unit)
        return self.run("journalctl", "--no-pager", "--output=short-precise", *of_unit, check=False)

    def copy_in(self, path: Path, target: str | Path) -> None:
        """A file, or a folder with all below it, to this absolute path inside; owned by root."""
        inside = self.root / str(target).lstrip("/")
        inside.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            shutil.copytree(path, inside, symlinks=True, dirs_exist_ok=True)
        else:
            shutil.copy2(path, inside)

    @property
    def _keeper_pid(self) -> int:
        return psutil.Process(self._keeper.pid).children()[0].pid


def _polls(seconds: float) -> Iterator[None]:
    """Turns of a loop that looks at another process.

    Raises:
        TimeoutError: the loop did not leave in time.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield
        time.sleep(0.02)
    raise TimeoutError(f"not within {seconds} seconds")


if __name__ == "__main__":
    sys.exit(what_is_lacking())
