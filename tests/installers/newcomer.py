"""A bare machine for install.sh: a PATH of stand-ins, a release that was signed, and a home."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

if TYPE_CHECKING:
    from collections.abc import Sequence

SCRIPT = Path(__file__).parents[2] / "installers" / "install.sh"
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

    VERSION, BUNDLE, DEB = VERSION, BUNDLE, DEB

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

    def install(self, *arguments: str, given: str = "", before: Sequence[str] = (), **env: str):
        return subprocess.run(
            [*before, "sh", self.dist / "install.sh", *arguments],
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
