"""A certificate authority of the tests' own, made with openssl as an operator would make one."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Authority:
    """Keys and certificates in `folder`; `file` is what clients are told to trust."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "ca.pem"
        self._openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=CA"),
            *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
        )

    def certificate(self, name: str, *hosts: str, is_expired: bool = False) -> tuple[Path, Path]:
        """A certificate for these hosts (`DNS:…`, `IP:…`) and its key."""
        self._request(name)
        extension = self.folder / f"{name}.ext"
        extension.write_text(f"subjectAltName={','.join(hosts)}\nbasicConstraints=CA:FALSE\n")
        days = ("-days", "-1") if is_expired else ("-days", "2")
        self._openssl(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key"),
            *("-set_serial", str(abs(hash(name)) % 10**9), "-extfile", f"{name}.ext"),
            *("-out", f"{name}.pem", *days),
        )
        return self.folder / f"{name}.pem", self.folder / f"{name}.key"

    def encrypted(self, key: Path) -> Path:
        """The same key behind a passphrase."""
        locked = key.with_suffix(".locked")
        self._openssl("ec", "-in", key, "-aes256", "-passout", "pass:x", "-out", locked)
        return locked

    def _request(self, name: str) -> None:
        self._openssl(
            *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}"),
        )

    def _openssl(self, *arguments: object) -> None:
        subprocess.run(
            ["openssl", *map(str, arguments)], cwd=self.folder, check=True, capture_output=True
        )
