"""A real X server without a screen, and somebody at its keyboard."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest
from Xlib import XK, X
from Xlib.display import Display
from Xlib.ext import xtest


class XServer:
    """One display, on any free number; a context manager."""

    def __init__(self, size="640x480x24"):
        self._size = size

    def __enter__(self):
        if shutil.which("Xvfb") is None:
            pytest.skip("needs Xvfb: apt install xvfb")
        read_end, write_end = os.pipe()
        self.process = subprocess.Popen(
            ["Xvfb", "-displayfd", str(write_end), "-screen", "0", self._size,
             "-nolisten", "tcp", "-noreset"],
            pass_fds=(write_end,),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(write_end)
        with os.fdopen(read_end) as told:
            self.name = f":{told.readline().strip()}"
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


class Person:
    """Somebody at a display; a context manager."""

    def __init__(self, name):
        self._name = name

    def __enter__(self):
        self.display = Display(self._name)
        self._key = self.display.keysym_to_keycode(XK.string_to_keysym("a"))
        self._x = 8
        return self

    def __exit__(self, *_):
        self.display.close()

    def press(self):
        xtest.fake_input(self.display, X.KeyPress, self._key)
        xtest.fake_input(self.display, X.KeyRelease, self._key)
        self.display.sync()

    def move(self):
        self._x ^= 16
        xtest.fake_input(self.display, X.MotionNotify, x=self._x, y=9)
        self.display.sync()

    def fullscreen(self):
        """A window over the whole screen, as a window manager would mark it."""
        root = self.display.screen().root
        window = root.create_window(0, 0, 100, 100, 0, X.CopyFromParent)
        window.set_wm_class("film", "Film")
        atom = self.display.get_atom
        window.change_property(
            atom("_NET_WM_STATE"), atom("ATOM"), 32, [atom("_NET_WM_STATE_FULLSCREEN")]
        )
        window.map()
        root.change_property(atom("_NET_ACTIVE_WINDOW"), atom("WINDOW"), 32, [window.id])
        self.display.sync()
        return window

    def close(self, window):
        self.display.screen().root.delete_property(self.display.get_atom("_NET_ACTIVE_WINDOW"))
        window.destroy()
        self.display.sync()
