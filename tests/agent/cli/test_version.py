from __future__ import annotations

import json


def test_people_and_programs_get_the_version_and_the_protocol(byoi):
    code, out, _ = byoi("version")
    assert code == 0
    assert "byoi.v1" in out
    _, out, _ = byoi("version", "--json")
    assert json.loads(out)["protocol"] == "byoi.v1"
