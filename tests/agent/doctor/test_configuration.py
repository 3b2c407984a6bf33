from __future__ import annotations

from byoi_agent.doctor import configuration


async def test_a_good_file_none_and_one_that_is_not_there(well, tmp_path):
    file = tmp_path / "config.toml"
    for patient in (well(), well(config_file=file)):
        (found,) = await configuration.check(patient)
        assert (found.state, found.text) == ("ok", "none are set: the defaults hold")
    file.write_text("slots = 2\n")
    (found,) = await configuration.check(well(config_file=file))
    assert "has no mistake" in found.text


async def test_every_mistake_of_a_file_is_told_with_its_line(well, tmp_path):
    file = tmp_path / "config.toml"
    file.write_text('slots = "many"\nslot = 2\n')
    (found,) = await configuration.check(well(config_file=file))
    assert found.state == "fail"
    assert ":1:" in found.text
    assert ":2:" in found.text


async def test_a_variable_that_means_nothing_is_a_warning(well):
    (found,) = await configuration.check(well(environment={"BYOI_SLOT": "2"}))
    assert found.state == "warn"
    assert "BYOI_SLOTS" in found.text
