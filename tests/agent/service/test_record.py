"""The word of the service in an installation."""

from __future__ import annotations

from byoi_agent.config.installation import read_installation
from byoi_agent.service.linux import PLACES
from byoi_agent.service.record import record_service


def test_the_rest_of_the_installation_stays_as_it_was(tmp_path):
    file = tmp_path / "installation.json"
    file.write_text('{"kind": "versions", "version": "0.2.0", "root": "/opt/byoi", "index": null}')
    record_service(PLACES, tmp_path)
    found = read_installation(tmp_path)
    assert found.service == PLACES
    assert (found.kind, found.version, str(found.root)) == ("versions", "0.2.0", "/opt/byoi")
    assert file.stat().st_mode & 0o777 == 0o644
    record_service(None, tmp_path)
    assert read_installation(tmp_path).service is None
