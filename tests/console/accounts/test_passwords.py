from __future__ import annotations

import time

import pytest
from argon2 import PasswordHasher

from byoi_console.accounts.passwords import LONGEST_BYTES, Passwords, check_password
from byoi_console.errors import InputInvalid


@pytest.mark.parametrize(
    "password", ["a few words are fine", "0123456789ab", "ünïcödé ïs fïne", "ab" * 512]
)
def test_length_is_all_that_is_asked_for(password):
    check_password(password, "ada@example.org")


@pytest.mark.parametrize(
    "password",
    ["", "a" * 11, "aaaaaaaaaaaaaaa", "ada.lovelace@example.org", " Ada.Lovelace@Example.ORG "],
)
def test_what_is_easy_to_guess_is_refused(password):
    with pytest.raises(InputInvalid):
        check_password(password, "ada.lovelace@example.org")


def test_what_is_no_text_is_refused():
    with pytest.raises(InputInvalid, match="text in UTF-8"):
        check_password("\udcff\udcfe and many more", "")


def test_the_limit_counts_bytes():
    check_password("éa" * 341 + "a", "")
    with pytest.raises(InputInvalid):
        check_password("éa" * 341 + "aa", "")


async def test_only_the_password_itself_fits():
    passwords = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    hashed = await passwords.hash("right")
    assert await passwords.fits(hashed, "right")
    assert not await passwords.fits(hashed, "wrong")
    assert not await passwords.fits(hashed, "right" * LONGEST_BYTES)
    assert not await passwords.fits(None, "right")
    assert not await passwords.fits("no hash at all", "right")


async def test_nobody_s_password_takes_as_long_as_somebody_s():
    passwords = Passwords(PasswordHasher(time_cost=2, memory_cost=1024, parallelism=1))
    hashed = await passwords.hash("right")
    await passwords.fits(None, "")  # makes what nobody's is compared with
    spent = []
    for kept in (hashed, None):
        begun = time.process_time()
        for _ in range(20):
            await passwords.fits(kept, "wrong")
        spent.append(time.process_time() - begun)
    assert spent[1] > spent[0] / 3


async def test_whoever_waits_for_a_turn_is_asked_again_when_it_comes():
    passwords = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    hashed = await passwords.hash("right")

    def check():
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await passwords.fits(hashed, "right", check=check)
