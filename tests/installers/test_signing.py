"""What signs a release is read by the programs that people have: openssl, ssh-keygen."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess

import pytest
import signing
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
MESSAGE = b"0123  byoi.deb\n"


@pytest.fixture
def ssh_says(tmp_path):
    """What `ssh-keygen -Y verify` makes of a message and its signature."""
    if shutil.which("ssh-keygen") is None:
        pytest.skip("needs ssh-keygen: apt install openssh-client")
    public = b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + signing.raw(KEY.public_key())
    signers = tmp_path / "signers"
    signers.write_text(f"byoi-release ssh-ed25519 {base64.b64encode(public).decode()}\n")

    def verify(message: bytes, signature: str, namespace: str = "byoi-release") -> bool:
        (tmp_path / "signature").write_text(signature)
        done = subprocess.run(
            [
                *("ssh-keygen", "-Y", "verify", "-f", signers, "-I", "byoi-release"),
                *("-n", namespace, "-s", tmp_path / "signature"),
            ],
            input=message,
            capture_output=True,
            check=False,
        )
        return done.returncode == 0

    return verify


def test_ssh_keygen_believes_the_signature_of_the_checksums(ssh_says):
    assert ssh_says(MESSAGE, signing.ssh_signature(KEY, MESSAGE))


def test_ssh_keygen_refuses_another_file_another_key_and_another_purpose(ssh_says):
    assert not ssh_says(b"4567  byoi.deb\n", signing.ssh_signature(KEY, MESSAGE))
    assert not ssh_says(MESSAGE, signing.ssh_signature(Ed25519PrivateKey.generate(), MESSAGE))
    assert not ssh_says(MESSAGE, signing.ssh_signature(KEY, MESSAGE, "git"))
    assert not ssh_says(MESSAGE, signing.ssh_signature(KEY, MESSAGE), "git")


def test_openssl_believes_the_raw_signature(tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl: apt install openssl")
    for name, data in (
        ("key", signing.public_pem(KEY.public_key())),
        ("sums", MESSAGE),
        ("sig", KEY.sign(MESSAGE)),
    ):
        (tmp_path / name).write_bytes(data)
    subprocess.run(
        [
            *("openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", tmp_path / "key"),
            *("-in", tmp_path / "sums", "-sigfile", tmp_path / "sig"),
        ],
        capture_output=True,
        check=True,
    )


def test_an_envelope_is_signed_over_its_type_and_its_payload():
    made = signing.envelope(KEY, {"b": 1, "a": 2})
    payload = base64.b64decode(made["payload"])
    signature = base64.b64decode(made["signatures"][0]["sig"])

    assert json.loads(payload) == {"a": 2, "b": 1}
    assert made["signatures"][0]["keyid"] == signing.key_id(KEY.public_key())
    KEY.public_key().verify(
        signature, b"DSSEv1 28 application/vnd.in-toto+json 13 " + b'{"a":2,"b":1}'
    )
    with pytest.raises(InvalidSignature):
        KEY.public_key().verify(signature, payload)


def test_keys_are_their_owners_alone_and_never_overwritten(tmp_path):
    keys = signing.make_keys(tmp_path / "keys")

    assert {path.stat().st_mode & 0o777 for path in keys.folder.iterdir()} == {0o600}
    assert not keys.are_for_development
    with pytest.raises(signing.KeysError, match="never overwritten"):
        signing.make_keys(tmp_path / "keys")


def test_a_key_that_is_missing_open_or_of_another_kind_is_told_with_its_mend(tmp_path):
    keys = signing.make_keys(tmp_path, development=True)
    assert keys.are_for_development
    keys.path("root").chmod(0o644)
    with pytest.raises(signing.KeysError, match="chmod 600"):
        keys.private("root")
    keys.path("targets").write_text("nothing")
    with pytest.raises(signing.KeysError, match="no private key in PEM"):
        keys.private("targets")
    keys.path("snapshot").unlink()
    with pytest.raises(signing.KeysError, match="makes a folder of keys"):
        keys.private("snapshot")
