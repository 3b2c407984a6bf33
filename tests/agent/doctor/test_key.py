from __future__ import annotations

from byoi_agent.doctor import key


async def test_a_machine_that_is_not_enrolled_has_no_key(well):
    (found,) = await key.check(well())
    assert (found.state, found.mend) == ("warn", "byoi enroll --console URL")


async def test_a_torn_record_is_told_and_not_raised(well):
    patient = well()
    patient.paths.identity_file.write_text("{")
    patient.paths.identity_file.chmod(0o600)
    (found,) = await key.check(patient)
    assert found.state == "fail"
    assert "identity.json" in found.text
