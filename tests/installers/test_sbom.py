"""The list of parts: the same for the same lock, each part with a licence that SPDX knows."""

from __future__ import annotations

from email.message import Message

import licences
import pytest
import sbom

EXPORTED = {
    "bomFormat": "CycloneDX",
    "serialNumber": "urn:uuid:random",
    "metadata": {"timestamp": "now", "component": {"type": "library", "name": "byoi-agent"}},
    "components": [
        {"name": "click", "version": "8.5.1", "purl": "pkg:pypi/click@8.5.1"},
        {"name": "byoi-wire", "version": "0.1.0"},
    ],
}


def _metadata(**said):
    message = Message()
    for name, value in {"Name": "Nice", "Version": "1", **said}.items():
        message[name.replace("_", "-")] = value
    return message


def test_two_builds_of_one_commit_list_the_same(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    found = {"pkg:pypi/click@8.5.1": "BSD-3-Clause"}
    one = sbom.finished(EXPORTED, "byoi-agent", found)
    two = sbom.finished({**EXPORTED, "serialNumber": "other"}, "byoi-agent", found)

    assert one == two
    assert one["metadata"]["timestamp"] == "2023-11-14T22:13:20Z"
    assert one["metadata"]["component"]["type"] == "application"
    assert [each["licenses"] for each in one["components"]] == [
        [{"expression": "BSD-3-Clause"}],
        [{"expression": "Apache-2.0"}],
    ]
    assert one["components"][1]["purl"] == "pkg:pypi/byoi-wire@0.1.0"
    changed = {"pkg:pypi/click@8.5.1": "MIT"}
    assert sbom.finished(EXPORTED, "byoi-agent", changed)["serialNumber"] != one["serialNumber"]


@pytest.mark.parametrize(
    ("said", "licence"),
    [
        ({"License_Expression": "mit or apache-2.0"}, "MIT OR Apache-2.0"),
        ({"License": "BSD-3-Clause"}, "BSD-3-Clause"),
        ({"Classifier": "License :: OSI Approved :: MIT License", "License": "see file"}, "MIT"),
        ({"Name": "segno", "Classifier": "License :: OSI Approved :: BSD License"}, "BSD-3-Clause"),
    ],
)
def test_the_licence_is_told_as_spdx_has_it(said, licence):
    assert licences.told(_metadata(**said)) == licence


@pytest.mark.parametrize("said", [{}, {"License": "BSD"}, {"License": "All rights reserved"}])
def test_a_licence_that_cannot_be_told_stops_the_release(said):
    with pytest.raises(licences.LicenceError, match="nice 1 does not say"):
        licences.told(_metadata(**said))
