from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from byoi_agent.errors import IdentityError
from byoi_agent.identity.keys import fingerprint_of
from byoi_agent.identity.sealed_file import SealedFile

KEY, OTHER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()


def creds(tmp_path, script):
    program = tmp_path / "systemd-creds"
    program.write_text(f'#!/bin/sh\necho "$*" >>{tmp_path}/asked\n{script}\n')
    program.chmod(0o755)
    return SealedFile(tmp_path / "etc/credstore.encrypted/byoi.device-key", str(program))


@pytest.fixture
def sealed(tmp_path):
    """A stand-in that seals by turning the letters round."""
    turn = "tr A-Za-z N-ZA-Mn-za-m"
    return creds(
        tmp_path, f'case $1 in encrypt) {turn} ;; decrypt) {turn} <"$3" ;; *) exit 2 ;; esac'
    )


def test_what_was_sealed_is_opened_again_and_nobody_else_can_read_the_file(sealed, tmp_path):
    assert sealed.key() is None
    assert sealed.contents() is None
    sealed.seal(KEY)
    assert fingerprint_of(sealed.key()) == fingerprint_of(KEY)
    assert b"PRIVATE" not in sealed.file.read_bytes()
    assert sealed.file.stat().st_mode & 0o777 == 0o600
    assert sealed.file.parent.stat().st_mode & 0o777 == 0o700
    assert [found.name for found in sealed.file.parent.iterdir()] == [sealed.file.name]
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked[0] == "encrypt --name=device-key --tpm2-pcrs= - -"


def test_another_key_takes_the_place_of_the_one_before_and_can_be_put_back(sealed):
    sealed.seal(KEY)
    before = sealed.contents()
    sealed.seal(OTHER)
    assert fingerprint_of(sealed.key()) == fingerprint_of(OTHER)
    sealed.put_back(before)
    assert fingerprint_of(sealed.key()) == fingerprint_of(KEY)
    sealed.put_back(None)
    assert not sealed.file.exists()


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo no TPM here >&2; exit 1", "encrypt failed: no TPM here"),
        ('[ "$1" = encrypt ] && cat >/dev/null && echo x || exit 3', "decrypt failed: 3"),
        ('[ "$1" = encrypt ] && cat >/dev/null; echo no key', "byoi.device-key"),
    ],
)
def test_what_cannot_be_opened_again_is_not_kept(tmp_path, script, told):
    sealed = creds(tmp_path, script)
    with pytest.raises(IdentityError, match=told):
        sealed.seal(KEY)
    assert sealed.contents() is None
    assert not list(sealed.file.parent.glob(".*"))


def test_a_program_that_opens_another_key_is_not_believed(tmp_path, sealed):
    sealed.seal(OTHER)
    broken = creds(tmp_path, f'[ "$1" = encrypt ] && cat || tr A-Za-z N-ZA-Mn-za-m <{sealed.file}')
    with pytest.raises(IdentityError, match="another key than it sealed"):
        broken.seal(KEY)
    assert fingerprint_of(broken.key()) == fingerprint_of(OTHER)


def test_without_the_program_it_is_told_what_brings_it(tmp_path):
    with pytest.raises(IdentityError, match="systemd 252 or newer"):
        SealedFile(tmp_path / "key", str(tmp_path / "nothing")).seal(KEY)


def test_a_folder_that_cannot_be_made_is_told(tmp_path, sealed):
    (tmp_path / "etc").write_text("a file")
    with pytest.raises(IdentityError, match=r"byoi.device-key cannot be written: Not a directory"):
        sealed.seal(KEY)
