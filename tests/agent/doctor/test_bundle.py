from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from byoi_agent.config.settings import Settings
from byoi_agent.doctor.bundle import bundle
from byoi_agent.doctor.finding import Report, failed

SECRETS = {
    "BYOI_ENGINE_API_KEY": "engine key-4f1c",
    "BYOI_JOIN_TOKEN": "byoi-join-7d0a",
    "BYOI_CONTROL_TOKEN": "control-token-91",
    "HTTPS_PROXY": "http://jo:proxy-password@proxy:3128",
}


FEED = "https://jo:hunter2@prices.example/v1?securityToken=TOPSECRET1&key=TOPSECRET2"


@pytest.fixture
def unpacked(well, tmp_path):
    async def pack(log="", report=None, status=None):
        file = tmp_path / "byoi.log"
        file.write_text(log)
        patient = well(
            settings=Settings(
                engine_api_key=SECRETS["BYOI_ENGINE_API_KEY"],
                hub="https://jo:hub-password@hub.example",
                slots=3,
                schedule={"price": {"source": FEED, "at_most": 0.3}},
                update={"index": "https://jo:index-password@updates.example/v1"},
            ),
            environment={**SECRETS, "AWS_SECRET_ACCESS_KEY": "not ours", "LANG": "C"},
        )
        packed = await bundle(patient, report or Report(), status, file)
        with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
            return {
                entry.name.removeprefix("byoi-doctor/"): tar.extractfile(entry).read().decode()
                for entry in tar
            }

    return pack


async def test_no_secret_is_in_any_of_its_files(unpacked):
    log = "\n".join(
        [
            "Authorization: Bearer sk-abcdefghijk",
            f"the engine said {SECRETS['BYOI_ENGINE_API_KEY']}",
            json.dumps({"token": "plain-token-55", "msg": f"asked {FEED}"}),
            "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQ\n-----END PRIVATE KEY-----",
        ]
    )
    report = Report(
        checks=(failed("engine", "Engine", f"refused {SECRETS['BYOI_JOIN_TOKEN']}", "m"),)
    )
    files = await unpacked(log, report, {"link": {"last_error": f"token=plain-token-66 {FEED}"}})
    whole = "\n".join(files.values())
    hidden = [
        *("engine key-4f1c", "byoi-join-7d0a", "control-token-91", "proxy-password"),
        *("hub-password", "sk-abcdefghijk", "plain-token-55", "plain-token-66", "MC4CAQAwBQ"),
        *("AWS_SECRET", "not ours", "hunter2", "TOPSECRET1", "TOPSECRET2", "index-password"),
    ]
    assert [secret for secret in hidden if secret in whole] == []


async def test_what_helps_is_there(unpacked):
    files = await unpacked("a line of the log")
    assert files.keys() >= {"README.txt", "doctor.json", "versions.json", "devices.json"}
    assert json.loads(files["settings.json"])["slots"] == 3
    assert json.loads(files["environment.json"])["LANG"] == "C"
    assert "a line of the log" in files["log.txt"]
    assert "status.json" not in files


async def test_each_of_its_files_is_what_its_name_says(unpacked):
    status = {"link": None, "api_key": None, "token": "t0ken", "tokens": 3, "at": Path("/srv")}
    files = await unpacked("", Report(), status)
    read = {name: json.loads(text) for name, text in files.items() if name.endswith(".json")}
    assert len(read) == 6
    assert read["settings.json"]["engine_api_key"] == "[redacted]"
    assert read["settings.json"]["model"] is None
    assert read["status.json"] == status | {"token": "[redacted]", "at": "/srv"}
