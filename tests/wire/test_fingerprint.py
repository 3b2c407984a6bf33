from __future__ import annotations

from byoi_wire.fingerprint import fingerprint, spoken


def test_a_fingerprint_is_sixteen_hex_digits_of_the_keys_sha256():
    assert fingerprint(bytes(32)) == "66687aadf862bd77"


def test_it_is_spoken_four_digits_at_a_time():
    assert spoken("66687aadf862bd77") == "6668-7aad-f862-bd77"
