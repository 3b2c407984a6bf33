"""Machines that nobody sits at: the shipped examples for cloud-init and Ansible, really run."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[2] / "deploy"
USER_DATA = DEPLOY / "cloud-init" / "user-data.yaml"
MODEL = "smollm2-135m-instruct"
SECONDS = 600

# The machine shares the network of the one that runs the tests, and has no disk to grow.
ONLY_WHAT_IS_TESTED = """
datasource_list: [NoCloud]
network: {config: disabled}
cloud_init_modules: [write-files]
cloud_config_modules: [runcmd]
cloud_final_modules: [scripts-user]
"""
STAGES = ("init --local", "init", "modules --mode config", "modules --mode final")


@pytest.fixture
def machine(machines, released):
    machine = machines(more=("cloud-init", "ansible-core"))
    released.give_wheels(machine)
    return machine


@pytest.fixture
def release(released, tmp_path):
    (tmp_path / "dist").mkdir()
    with released.Release(tmp_path / "dist").served() as release:
        yield release


@pytest.fixture
async def token(deployment):
    await deployment.start_console()
    return (await deployment.admin("POST", "/api/join-tokens", {"uses": 1}))["token"]


async def answers(deployment) -> bool:
    answer = await deployment.chat("Hi", model=MODEL, max_tokens=8)
    assert answer.is_complete, (answer.status, answer.body, answer.broken)
    return True


def with_our_places(text: str, release, deployment) -> str:
    text = text.replace("https://releases.byoi.example", release.url)
    return text.replace("https://console.byoi.example", deployment.url)


def test_the_user_data_is_what_cloud_init_takes():
    if (cloud_init := shutil.which("cloud-init")) is None:
        pytest.skip("needs cloud-init: apt install cloud-init")
    done = subprocess.run(
        [cloud_init, "schema", "--config-file", USER_DATA],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


async def test_a_machine_serves_after_its_first_boot_with_user_data(
    machine, release, deployment, token, heard
):
    data = with_our_places(USER_DATA.read_text(), release, deployment)
    seed = machine.root / "var/lib/cloud/seed/nocloud"
    seed.mkdir(parents=True)
    (seed / "user-data").write_text(data.replace("byoi-join-0000", token))
    (seed / "meta-data").write_text("instance-id: first-boot\n")
    (machine.root / "etc/cloud/cloud.cfg.d/99-test.cfg").write_text(ONLY_WHAT_IS_TESTED)

    for stage in STAGES:
        said = machine.run("cloud-init", *stage.split(), seconds=SECONDS)
    assert "this machine is a node" in said
    await heard(machine)
    assert await answers(deployment)
    assert not (machine.root / "run/byoi-setup").exists()


async def test_ansible_makes_a_node_and_changes_nothing_the_second_time(
    machine, release, deployment, token, heard
):
    machine.copy_in(DEPLOY / "ansible", "/srv/ansible")
    playbook = machine.root / "srv/ansible/playbook.yml"
    playbook.write_text(with_our_places(playbook.read_text(), release, deployment))
    (machine.root / "srv/ansible/inventory.ini").write_text(
        "[nodes]\nhere ansible_connection=local ansible_become=false\n"
    )
    play = ("ansible-playbook", "-i", "/srv/ansible/inventory.ini", "/srv/ansible/playbook.yml")

    counts = []
    for _ in range(2):
        said = machine.run(*play, seconds=SECONDS, BYOI_JOIN_TOKEN=token)
        assert token not in said
        counts.append(int(re.search(r"changed=(\d+)", said)[1]))
    assert counts == [2, 0]
    await heard(machine)
    assert await answers(deployment)
