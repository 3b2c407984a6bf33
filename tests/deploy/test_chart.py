"""The chart: its values' schema, what it renders to, and the file that is published."""

from __future__ import annotations

import json
import tarfile

import jsonschema
import pytest
import yaml
from chart import CHART, build_chart

CONSOLE = {"console": {"origin": "https://byoi.example"}}
KUBERNETES = ("1.29", "1.33")
EVERYTHING = {
    "imagePullSecrets": [{"name": "registry"}],
    "agent": {
        "engine": "vllm",
        "model": "qwen3-8b",
        "image": {"digest": f"sha256:{'a' * 64}"},
        "joinToken": {"existingSecret": "join"},
        "settings": {"slots": "8", "KEY_STORE": "file"},
        "runtimeClassName": "nvidia",
        "priorityClassName": "low",
        "affinity": {"nodeAffinity": {}},
        "podAnnotations": {"a": "b"},
        "resources": {"limits": {"memory": "32Gi"}},
    },
    "console": {
        "origin": "https://byoi.example",
        "trustedProxies": "10.0.0.0/8",
        "settings": {"log_level": "debug"},
        "databaseSecret": "database",
        "tls": {"existingSecret": "tls"},
        "persistence": {"existingClaim": "mine"},
        "ingress": {
            "enabled": True,
            "host": "byoi.example",
            "className": "nginx",
            "tlsSecret": "t",
        },
        "networkPolicy": {"from": [{"namespaceSelector": {}}]},
        "serviceMonitor": {"enabled": True, "keySecret": "key"},
    },
}
CASES = {
    "plain": CONSOLE,
    "everything": EVERYTHING,
    "claims": {
        **CONSOLE,
        "agent": {"workload": "StatefulSet", "replicas": 2, "storageClassName": "s"},
    },
    "agent alone": {"console": {"enabled": False}, "agent": {"consoleUrl": "https://c.example"}},
    "console alone": {**CONSOLE, "agent": {"enabled": False}},
    "no GPU": {**CONSOLE, "agent": {"gpus": 0, "nodeSelector": {"nvidia.com/gpu.present": None}}},
}
each_case = pytest.mark.parametrize("changes", CASES.values(), ids=CASES)
installer = [pytest.mark.installer, pytest.mark.timeout(600)]


def containers(one):
    pod = one["spec"].get("template", one).get("spec", {})
    return [*pod.get("initContainers", ()), *pod.get("containers", ())]


class TestRendered:
    pytestmark = installer

    @each_case
    def test_kubernetes_knows_every_field(self, render, kubernetes, changes):
        objects, _ = render(changes)
        for one in objects.values():
            for version in KUBERNETES if one["kind"] != "ServiceMonitor" else ():
                kubernetes(one, version)

    def test_a_number_is_written_as_settings_read_it(self, render):
        settings = {"context_tokens": 1048576, "gpu_memory_share": 0.85, "slots": "8"}
        console = {**CONSOLE["console"], "settings": {"body_bytes": 268435456}}
        objects, _ = render({"agent": {"settings": settings}, "console": console})
        told = {
            each["name"]: each.get("value")
            for one in objects.values()
            for container in containers(one)
            for each in container.get("env", ())
        }
        assert told["BYOI_CONTEXT_TOKENS"] == "1048576"
        assert told["BYOI_GPU_MEMORY_SHARE"] == "0.85"
        assert told["BYOI_SLOTS"] == "8"
        assert told["BYOI_CONSOLE_BODY_BYTES"] == "268435456"

    @each_case
    def test_no_container_has_rights_or_writes_to_its_root(self, render, changes):
        objects, _ = render(changes)
        seen = 0
        for one in objects.values():
            for container in containers(one):
                security = container["securityContext"]
                assert security["readOnlyRootFilesystem"] is True
                assert security["allowPrivilegeEscalation"] is False
                assert security["capabilities"]["drop"] == ["ALL"]
                is_helper = container["name"] == "folders"
                assert security["capabilities"].get("add") == (["CHOWN"] if is_helper else None)
                seen += 1
            pod = one["spec"].get("template", one).get("spec", {})
            if "containers" in pod:
                assert pod["automountServiceAccountToken"] is False
                assert pod["securityContext"]["runAsNonRoot"] is True
                assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
                names = {volume["name"] for volume in pod.get("volumes", ())}
                claims = {
                    claim["metadata"]["name"]
                    for claim in one["spec"].get("volumeClaimTemplates", ())
                }
                for container in containers(one):
                    mounted = {mount["name"] for mount in container.get("volumeMounts", ())}
                    assert mounted <= names | claims
        assert seen

    @each_case
    def test_who_is_selected_is_who_is_meant(self, render, changes):
        objects, notes = render(changes, release="a-release-of-byoi")
        assert all(len(name) <= 63 for _, name in objects)
        for (kind, _), one in objects.items():
            if kind in {"DaemonSet", "Deployment", "StatefulSet"}:
                wanted = one["spec"]["selector"]["matchLabels"]
                assert wanted.items() <= one["spec"]["template"]["metadata"]["labels"].items()
        assert ("agent" in notes) == any("-agent" in name for _, name in objects)

    def test_a_pod_gets_longer_than_its_requests_to_end(self, render):
        objects, _ = render({**CONSOLE, "agent": {"drainSeconds": 300}})
        agent = objects["DaemonSet", "r-byoi-agent"]["spec"]
        assert agent["template"]["spec"]["terminationGracePeriodSeconds"] > 300
        assert agent["updateStrategy"]["rollingUpdate"]["maxUnavailable"] == 1
        environment = {
            one["name"]: one["value"] for one in agent["template"]["spec"]["containers"][0]["env"]
        }
        assert environment["BYOI_DRAIN_SECONDS"] == "300"
        assert environment["BYOI_CONSOLE"] == "https://byoi.example"

    def test_what_is_chosen_reaches_the_pod(self, render):
        objects, notes = render(EVERYTHING)
        pod = objects["DaemonSet", "r-byoi-agent"]["spec"]["template"]["spec"]
        agent = pod["containers"][0]
        assert agent["image"] == f"byoi/agent@sha256:{'a' * 64}"
        assert agent["resources"]["limits"] == {"memory": "32Gi", "nvidia.com/gpu": 1}
        environment = {one["name"]: one["value"] for one in agent["env"]}
        assert environment["BYOI_SLOTS"] == "8"
        assert environment["BYOI_JOIN_TOKEN_FILE"] == "/run/secrets/byoi/join-token"
        assert "no join token" not in notes
        console = objects["Deployment", "r-byoi-console"]["spec"]["template"]["spec"]
        assert console["containers"][0]["readinessProbe"]["httpGet"]["scheme"] == "HTTPS"
        assert ("PersistentVolumeClaim", "r-byoi-console") not in objects

    @pytest.mark.parametrize("trust", [{}, {"ca": {"secret": {"name": "mine", "key": "ca.crt"}}}])
    def test_a_console_with_tls_is_asked_for_its_counts_by_tls(self, render, trust):
        """Pods are asked by their addresses: the certificate is for the origin's name."""
        monitor = {"serviceMonitor": {"enabled": True, "tlsConfig": trust}}
        plain = {"console": {"origin": "https://byoi.example:8443", **monitor}}
        objects, _ = render(plain)
        endpoint = objects["ServiceMonitor", "r-byoi-console"]["spec"]["endpoints"][0]
        assert "scheme" not in endpoint
        plain["console"]["tls"] = {"existingSecret": "tls"}
        objects, _ = render(plain)
        endpoint = objects["ServiceMonitor", "r-byoi-console"]["spec"]["endpoints"][0]
        assert endpoint["scheme"] == "https"
        assert endpoint["tlsConfig"] == {"serverName": "byoi.example", **trust}

    def test_what_is_missing_is_said(self, render):
        with pytest.raises(ValueError, match=r"agent\.consoleUrl, or console\.origin"):
            render({})
        with pytest.raises(ValueError, match=r"console\.ingress\.host: the name"):
            render({"console": {"origin": "https://c", "ingress": {"enabled": True}}})


@each_case
def test_the_schema_takes_what_is_meant(values, changes):
    schema = json.loads((CHART / "values.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.validate(values(changes), schema)


@pytest.mark.parametrize(
    "changes",
    [
        {"agents": {}},
        {"agent": {"workload": "Deployment"}},
        {"agent": {"consoleUrl": "console.example"}},
        {"agent": {"gpus": "one"}},
        {"agent": {"image": {"digest": "latest"}}},
        {"agent": {"settings": {"a-b": "1"}}},
        {"console": {"persistence": {"size": "much"}}},
        {"console": {"replicas": 2}},
    ],
    ids=json.dumps,
)
def test_the_schema_refuses_what_would_be_overlooked(values, changes):
    schema = json.loads((CHART / "values.schema.json").read_text())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(values(changes), schema)


def test_the_chart_is_one_file_with_the_same_bytes_each_time(tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    (tmp_path / "again").mkdir()
    first, second = build_chart("1.2.3", tmp_path), build_chart("1.2.3", tmp_path / "again")
    assert first.name == "byoi-1.2.3.tgz"
    assert first.read_bytes() == second.read_bytes()
    with tarfile.open(first) as packed:
        about = yaml.safe_load(packed.extractfile("byoi/Chart.yaml"))
        assert about["version"] == about["appVersion"] == "1.2.3"
        assert "byoi/templates/NOTES.txt" in packed.getnames()
        assert "byoi/values.schema.json" in packed.getnames()
