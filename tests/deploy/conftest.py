"""What checks a chart where there is no Helm: its language rendered by Go, Kubernetes' schemas."""

from __future__ import annotations

import copy
import hashlib
import importlib.resources
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
CHART = ROOT / "deploy" / "helm" / "byoi"
STORE = Path.home() / ".cache" / "byoi-tests"
GO_LIBRARIES = Path("/usr/share/gocode")
BUILD_SECONDS = 300

sys.path.append(str(ROOT / "installers"))  # programs, no package: by bare names


@pytest.fixture(scope="session")
def renderer():
    """The program of render.go, built once for each state of it."""
    go = shutil.which("go")
    if go is None or not (GO_LIBRARIES / "src/github.com/Masterminds/sprig").is_dir():
        pytest.skip("needs Go: apt install golang-go golang-github-masterminds-sprig-dev")
    source = HERE / "render.go"
    program = STORE / f"render-{hashlib.sha256(source.read_bytes()).hexdigest()[:12]}"
    if not program.exists():
        STORE.mkdir(parents=True, exist_ok=True)
        part = program.with_suffix(f".{os.getpid()}")
        libraries = {"GO111MODULE": "off", "GOPATH": str(GO_LIBRARIES)}
        subprocess.run(
            [go, "build", "-o", part, source],
            env={**os.environ, **libraries, "GOCACHE": str(STORE / "go"), "GOFLAGS": ""},
            check=True,
            timeout=BUILD_SECONDS,
        )
        part.replace(program)
    return program


def over(values, changes):
    """As Helm lays a user's values over the chart's: tables go into each other, null takes away."""
    found = copy.deepcopy(values)
    for name, change in changes.items():
        if change is None:
            found.pop(name, None)
        elif isinstance(change, dict) and isinstance(found.get(name), dict):
            found[name] = over(found[name], change)
        else:
            found[name] = change
    return found


@pytest.fixture
def values():
    """The chart's own values with others over them."""
    own = yaml.safe_load((CHART / "values.yaml").read_text())
    return lambda changes: over(own, changes)


@pytest.fixture
def render(renderer, values):
    """The objects that a release would be, by kind and name; and the notes."""

    def made(changes, *, release="r"):
        done = subprocess.run(
            [renderer, CHART, release, "models"],
            input=json.dumps(values(changes)), capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise ValueError(done.stderr.strip())
        texts = json.loads(done.stdout)
        notes = texts.pop("templates/NOTES.txt")
        objects = [
            one for text in texts.values() for one in yaml.safe_load_all(text) if one is not None
        ]
        return {(one["kind"], one["metadata"]["name"]): one for one in objects}, notes

    return made


@pytest.fixture(scope="session")
def kubernetes():
    """Validates an object against a version of Kubernetes: `kubernetes(object, "1.30")`."""
    requirements = HERE / "kubernetes-schemas.txt"
    name = hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]
    folder = STORE / f"kubernetes-schemas-{name}"
    if not folder.exists():
        part = folder.with_name(f"{folder.name}.{os.getpid()}")
        subprocess.run(
            [
                *(ROOT / ".ci" / "uv", "pip", "install", "--quiet", "--no-deps"),
                *("--require-hashes", "--target", part, "-r", requirements),
            ],
            check=True,
            timeout=BUILD_SECONDS,
        )
        part.replace(folder)
    sys.path.append(str(folder))
    # What it asks for is a backport of a part of the standard library.
    sys.modules.setdefault("importlib_resources", importlib.resources)
    import kubernetes_validate

    def check(one, version):
        kubernetes_validate.validate(one, version, strict=True)

    yield check
    sys.path.remove(str(folder))
