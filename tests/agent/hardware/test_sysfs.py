from __future__ import annotations

import pytest

from byoi_agent.hardware import sysfs


def test_numbers_are_read_in_both_forms_and_other_words_are_none(tree):
    tree.write("x", {"a": "12", "b": "0x1002", "c": "many", "d": ""})
    found = [sysfs.number(tree.root / "x" / name) for name in "abcde"]
    assert found == [12, 0x1002, None, None, None]


def test_a_device_that_has_gone_is_told_from_a_file_that_is_not_offered(tree):
    tree.write("x", {"a": "12"})
    tree.lose("x", "a")
    with pytest.raises(sysfs.DeviceGone):
        sysfs.number(tree.root / "x" / "a")
    assert sysfs.number(tree.root / "x") is None  # a folder


def test_folders_come_in_the_order_of_their_numbers(tree):
    for name in ("card10", "card2", "card1"):
        tree.write(name, {"a": "1"})
    assert [path.name for path in sysfs.folders(tree.root, "card*")] == ["card1", "card2", "card10"]


def test_connectors_and_other_drivers_are_no_cards(tree):
    for name, driver in (("card0", "xe"), ("card0-DP-1", "xe"), ("card1", "ast")):
        tree.write(f"sys/class/drm/{name}/device", {"uevent": f"DRIVER={driver}"})
    found = sysfs.cards(tree.root, frozenset({"xe"}))
    assert [card.parent.name for card in found] == ["card0"]


def test_a_link_of_an_unknown_speed_has_no_generation(tree):
    tree.write("x", {"current_link_speed": "Unknown", "current_link_width": "0"})
    assert set(sysfs.pcie(tree.root / "x").values()) == {None}


def test_a_machine_without_a_list_of_names_knows_none(tree):
    tree.write("x", {"uevent": "PCI_ID=8086:E20B"})
    assert sysfs.pci_name(tree.root, tree.root / "x") is None
    tree.write("usr/share/hwdata", {"pci.ids": "8086  Intel\n\t1234  Other"})
    assert sysfs.pci_name(tree.root, tree.root / "x") is None
