"""Builds a Dockerfile's target without a container engine: each step in a chroot over its layers.

As Docker does it, a step's result is a layer of its own, kept under a key made of all that came
before; so a second build does only what has changed. It shares the network of this machine, gives
each step this machine's certificates, and throws away what a step leaves in /tmp.
"""

from __future__ import annotations

import fcntl
import fnmatch
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dockerfile import Instruction, Stage, UnknownError, stages, substitute

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

HERE = Path(__file__).parent
STORE = Path.home() / ".cache" / "byoi-tests" / "images"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
STEP_SECONDS = 1500
KEPT_SECONDS = 24 * 3600


class StepError(Exception):
    """A step ended with another code than 0; the message has its output."""


@dataclass(frozen=True)
class Image:
    """Layers, the lowest first, and what a container of them is started with."""

    layers: tuple[Path, ...]
    key: str
    environment: Mapping[str, str] = field(default_factory=lambda: {"PATH": PATH})
    user: str = "0"
    workdir: str = "/"
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    health: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    stop_signal: str = "SIGTERM"
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def lowers(self) -> str:
        """For an overlay, the highest first."""
        return ":".join(str(layer) for layer in reversed(self.layers))


class Build:
    """Sole owner of the layers that it makes. `base`: a base image's name → its folder."""

    def __init__(self, context: Path, base: Callable[[str], Path]) -> None:
        # One build at a time: two would make the same layer, and one throw it away.
        self._lock = _store().with_suffix(".lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._base = base
        self._made: dict[str, Image] = {}
        self._stages = {
            stage.name: stage for stage in stages((context / "Dockerfile").read_text(), {})
        }
        self._context = tempfile.TemporaryDirectory(prefix="byoi-context-", dir=_store())
        self.steps_done = 0
        copy_context(context, Path(self._context.name))

    def image(self, target: str) -> Image:
        """A stage, and those that it takes from.

        Raises:
            StepError: a step failed.
            UnknownError: the file says something that this does not know.
        """
        if target not in self._made:
            self._made[target] = self._build(self._stages[target])
        return self._made[target]

    def close(self) -> None:
        """Forget the context, and the layers that no build has used for long."""
        self._context.cleanup()
        for folder in _store().iterdir():
            is_old = folder.stat().st_mtime < time.time() - KEPT_SECONDS
            if is_old and folder.name != "uv":
                shutil.rmtree(folder, ignore_errors=True)
        self._lock.close()

    def _build(self, stage: Stage) -> Image:
        if stage.base in self._stages:
            image = self.image(stage.base)
        else:
            folder = self._base(stage.base)
            image = Image((folder,), folder.name)
        arguments: dict[str, str] = {}
        for step in stage.instructions:
            values = {**arguments, **image.environment}
            if step.name == "ARG":
                arguments |= {name: values.get(name, given) for name, given in step.pairs()}
            elif step.name == "RUN":
                image = self._run(image, step, arguments)
            elif step.name == "COPY":
                image = self._copy(image, step)
            else:
                image = self._describe(image, replace(step, text=substitute(step.text, values)))
        return image

    def _describe(self, image: Image, step: Instruction) -> Image:
        if step.name == "WORKDIR":
            made = self._step(image, "WORKDIR", ["mkdir", "-p", step.text], {})
            return replace(made, workdir=step.text)
        if step.name == "HEALTHCHECK":
            form, _, text = step.text.partition(" ")
            if form != "CMD":
                raise UnknownError(f"HEALTHCHECK {step.text}")
            return replace(image, health=tuple(Instruction("CMD", text).words()))
        changes: dict[str, Callable[[], dict[str, Any]]] = {
            "ENV": lambda: {"environment": {**image.environment, **dict(step.pairs())}},
            "LABEL": lambda: {"labels": {**image.labels, **dict(step.pairs())}},
            "USER": lambda: {"user": step.text},
            "ENTRYPOINT": lambda: {"entrypoint": tuple(step.words()), "command": ()},
            "CMD": lambda: {"command": tuple(step.words())},
            "VOLUME": lambda: {"volumes": tuple(step.words())},
            "STOPSIGNAL": lambda: {"stop_signal": step.text},
            "EXPOSE": dict,
        }
        return replace(image, **changes[step.name]())

    def _run(self, image: Image, step: Instruction, arguments: Mapping[str, str]) -> Image:
        if image.user not in {"0", "root"}:
            raise UnknownError(f"RUN as {image.user}")
        for name, value in step.flags:
            if name != "mount" or not value.startswith(("type=cache,id=uv,", "type=secret,")):
                raise UnknownError(f"RUN --{name}={value}")
        inside = ["/bin/sh", "-c", f"cd '{image.workdir}' && {{ {step.text}\n}}"]
        return self._step(image, step.text, inside, arguments, cache=bool(step.flags))

    def _copy(self, image: Image, step: Instruction) -> Image:
        *sources, target = step.words()
        if not target.startswith("/"):
            target = f"{image.workdir.rstrip('/')}/{target.removeprefix('./')}"
        if (name := step.flag("from")) is not None:
            other = self.image(name)
            place, stamp = other.lowers, other.key
        else:
            place = self._context.name
            stamp = digest(Path(place), sources)
        words = ["copy", place, target, step.flag("chmod") or "-", *sources]
        return self._step(image, f"COPY {step.text} {step.flags} {stamp}", words, {})

    def _step(
        self,
        image: Image,
        what: str,
        words: list[str],
        arguments: Mapping[str, str],
        *,
        cache: bool = False,
    ) -> Image:
        said = [image.key, what, sorted(image.environment.items()), sorted(arguments.items())]
        key = hashlib.sha256(json.dumps([*said, image.workdir]).encode()).hexdigest()[:12]
        layer = _store() / key
        if not layer.exists():
            self.steps_done += 1
            if words[0] != "copy":
                words = [*_given({**arguments, **image.environment}), *words]
            _make(image, layer, words, cache=cache)
        os.utime(layer)
        return replace(image, layers=(*image.layers, layer), key=key)


def copy_context(root: Path, into: Path) -> None:
    """All that .dockerignore leaves, of the files that git would keep."""
    asked = ("git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    listed = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    rules = [
        line
        for line in (root / ".dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    for name in listed.split("\0"):
        if name and (root / name).is_file() and not ignored(name, rules):
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, into / name)


def ignored(name: str, rules: list[str]) -> bool:
    """Docker's rule: the last pattern that fits the file or a folder above it decides."""
    parts = name.split("/")
    above = ["/".join(parts[: count + 1]) for count in range(len(parts))]
    is_out = False
    for rule in rules:
        pattern = rule.removeprefix("!")
        if pattern.startswith("**/"):
            fits = any(fnmatch.fnmatch(part, pattern.removeprefix("**/")) for part in parts)
        else:
            fits = any(
                one.count("/") == pattern.count("/") and fnmatch.fnmatch(one, pattern)
                for one in above
            )
        if fits:
            is_out = not rule.startswith("!")
    return is_out


def digest(context: Path, sources: list[str]) -> str:
    """Of the names, rights and contents of what is copied."""
    known = hashlib.sha256()
    for source in sources:
        place = context / source
        files = sorted(place.rglob("*")) if place.is_dir() else [place]
        for file in files:
            if file.is_file():
                executable = os.access(file, os.X_OK)
                known.update(f"{file.relative_to(context)} {executable}\0".encode())
                known.update(hashlib.sha256(file.read_bytes()).digest())
    return known.hexdigest()


def _given(environment: Mapping[str, str]) -> list[str]:
    """A step's variables, with what this machine's network needs."""
    proxies = {name: os.environ[name] for name in os.environ if name.lower().endswith("_proxy")}
    trusted = dict.fromkeys(("SSL_CERT_FILE", "PIP_CERT"), "/tmp/certificates.crt")
    given = {**proxies, **trusted, "DEBIAN_FRONTEND": "noninteractive", **environment}
    return [f"{name}={value}" for name, value in given.items()]


def _make(image: Image, layer: Path, words: list[str], *, cache: bool) -> None:
    with tempfile.TemporaryDirectory(prefix="byoi-step-", dir=_store()) as made:
        for name in ("upper", "work", "root", "from", "nothing"):
            Path(made, name).mkdir()
        kept = _store() / "uv"
        kept.mkdir(exist_ok=True)
        done = subprocess.run(
            [
                *("unshare", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child"),
                *("sh", HERE / "layers.sh", image.lowers, made, CERTIFICATES),
                *(kept if cache else "-", *words),
            ],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=STEP_SECONDS, check=False,
        )  # fmt: skip
        if done.returncode:
            raise StepError(
                f"{' '.join(words)}\nended with {done.returncode}:\n{done.stdout[-4000:]}"
            )
        Path(made, "upper").rename(layer)


def _store() -> Path:
    STORE.mkdir(parents=True, exist_ok=True)
    return STORE


if __name__ == "__main__":  # python tests/installers/image.py TARGET: build it, and say what it is
    from machine import base

    build = Build(HERE.parent.parent, lambda _name: base("bookworm", ("base-files",)))
    try:
        print(build.image(sys.argv[1]), f"{build.steps_done} steps done")
    finally:
        build.close()
