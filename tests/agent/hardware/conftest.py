from __future__ import annotations

import ctypes
import errno
from pathlib import Path

import pynvml
import pytest


class Tree:
    """Files as Linux' drivers show them, below a folder of the test's own."""

    def __init__(self, root):
        self.root = root
        self.gone = set()

    def write(self, folder, files):
        for name, text in files.items():
            file = self.root / folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{text}\n")

    def lose(self, folder, name):
        """Reading this file says what the kernel says of a device that has gone: a stand-in."""
        self.gone.add(self.root / folder / name)


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A system's files; one can be lost, as the files of a card off its bus are."""
    tree = Tree(tmp_path / "system")
    read = Path.read_text

    def read_text(file, *arguments, **options):
        if file in tree.gone:
            raise OSError(errno.ENODEV, "No such device")
        return read(file, *arguments, **options)

    monkeypatch.setattr(Path, "read_text", read_text)
    return tree


@pytest.fixture
def in_process(nvml, nvml_library, machine, monkeypatch):
    """The stand-in as the library of this very process, for nvidia-ml-py to call."""
    monkeypatch.setenv(nvml.VARIABLE, str(machine.file))
    monkeypatch.setattr(pynvml, "nvmlLib", ctypes.CDLL(str(nvml_library / nvml.SONAME)))
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
    return machine
