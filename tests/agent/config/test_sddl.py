from __future__ import annotations

import pytest

from byoi_agent.config.sddl import READS, WRITES, allowed, owner_of, private, service_sid

ME = "S-1-5-21-1-2-3-1001"


def test_the_account_of_a_service_is_the_hash_of_its_name():
    # As `sc showsid TrustedInstaller` prints it on every Windows.
    known = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"
    assert service_sid("TrustedInstaller") == service_sid("trustedinstaller") == known


def test_the_owner_is_told_in_either_form():
    assert owner_of(f"O:{ME}D:(A;;FA;;;SY)") == ME
    assert owner_of("O:BAG:SYD:") == "BA"
    assert owner_of("D:(A;;FA;;;SY)") is None


@pytest.mark.parametrize(
    ("text", "readers"),
    [
        (f"O:BAD:PAI(A;;FA;;;SY)(A;ID;FR;;;{ME})", {"SY", ME}),
        ("O:BAD:(A;;0x1200a9;;;BU)", {"BU"}),
        ("O:BAD:(A;;1179785;;;BU)", {"BU"}),
        ("O:BAD:(A;;CCRC;;;WD)", {"WD"}),
        ("O:BAD:(A;;GR;;;AU)(A;;GA;;;IU)", {"AU", "IU"}),
        ("O:BAD:(A;;0x100116;;;BU)", set()),  # writes, and cannot read
        ("O:BAD:(D;;FA;;;WD)", set()),
        ("O:BAD:(A;OICIIO;GA;;;CO)", set()),  # for what lies below alone
        ('O:BAD:(XA;;FR;;;WD;(Title=="a"))', {"WD"}),
        ("O:BAD:(A;;ZZ;;;WD)", {"WD"}),  # a right that is not known may be any
        ("O:BAD:", set()),
        ("O:BAD:NO_ACCESS_CONTROL", {"WD"}),
        ("O:BA", {"WD"}),  # no list: no limits
    ],
)
def test_who_may_read(text, readers):
    assert allowed(text, READS) == readers


@pytest.mark.parametrize(
    ("rights", "writes"),
    [("FR", False), ("0x1200a9", False), ("FW", True), ("0x2", True), ("SD", True), ("WO", True)],
)
def test_who_may_write(rights, writes):
    assert allowed(f"D:(A;;{rights};;;BU)", WRITES) == ({"BU"} if writes else set())


def test_what_is_made_private_is_granted_to_nobody_else_and_hands_down_the_same():
    text = private(ME, readers=("S-1-5-21-9",))
    assert text.startswith("D:P")
    assert allowed(text, READS) == {"SY", "BA", ME, "S-1-5-21-9"}
    assert allowed(text, WRITES) == {"SY", "BA", ME}
    assert text.count("OICI") == 4
