from __future__ import annotations

import os
import socket

import psutil
import pytest
from Xlib import X, Xatom
from Xlib.display import Display

from byoi_agent.availability.sensors.x11_windows import Windows

ATOM, CARDINAL, WINDOW = Xatom.ATOM, Xatom.CARDINAL, Xatom.WINDOW


class Desk:
    """Windows, and what a window manager would write on them."""

    def __init__(self, display):
        self.display = display
        self.root = display.screen().root
        self.windows = []

    def window(self, x=0, y=0, width=200, height=100, name="film"):
        window = self.root.create_window(x, y, width, height, 0, X.CopyFromParent)
        window.set_wm_class(name, name.title())
        window.map()
        self.windows.append(window)
        self.stack()
        return window

    def stack(self):
        self.write(self.root, "_NET_CLIENT_LIST_STACKING", WINDOW, [w.id for w in self.windows])

    def front(self, window):
        self.write(self.root, "_NET_ACTIVE_WINDOW", WINDOW, [window.id])

    def state(self, window, *states):
        atoms = [self.display.get_atom(f"_NET_WM_STATE_{state}") for state in states]
        self.write(window, "_NET_WM_STATE", ATOM, atoms)

    def write(self, window, name, kind, values):
        window.change_property(self.display.get_atom(name), kind, 32, values)
        self.display.sync()

    def forget(self):
        for window in self.windows:
            window.destroy()
        for name in ("_NET_CLIENT_LIST_STACKING", "_NET_ACTIVE_WINDOW", "_NET_CURRENT_DESKTOP"):
            self.root.delete_property(self.display.get_atom(name))
        self.display.set_input_focus(X.PointerRoot, X.RevertToPointerRoot, X.CurrentTime)
        self.display.sync()


@pytest.fixture
def desk(x_server):
    display = Display(x_server.name)
    desk = Desk(display)
    yield desk
    desk.forget()
    display.close()


@pytest.fixture
def look(x_server):
    display = Display(x_server.name)
    windows = Windows(display)
    yield lambda is_thorough=True: windows.fullscreen(is_thorough=is_thorough)
    display.close()


def test_an_empty_screen_and_a_window_are_no_full_screen(desk, look):
    assert look() is None
    desk.front(desk.window())
    assert look() is None


def test_a_full_screen_in_front_is_seen_and_its_end(desk, look):
    window = desk.window()
    desk.front(window)
    desk.state(window, "FULLSCREEN")
    assert look(False) == "Film"
    desk.state(window)
    assert look(False) is None


def test_a_film_beside_ones_work_is_seen_at_a_thorough_look_and_then_kept(desk, look):
    film, work = desk.window(), desk.window()
    desk.front(work)
    desk.state(film, "FULLSCREEN")
    assert [look(False), look(True), look(False)] == [None, "Film", "Film"]
    film.destroy()
    desk.windows.remove(film)
    desk.stack()
    assert look(True) is None


def test_a_window_without_a_frame_over_the_whole_screen_counts(desk, look):
    desk.front(desk.window(width=640, height=480, name="game"))
    assert look() == "Game"


@pytest.mark.parametrize("state", ["MAXIMIZED_VERT", "HIDDEN"])
def test_a_maximized_or_hidden_window_does_not(desk, look, state):
    window = desk.window(width=640, height=480)
    desk.front(window)
    desk.state(window, state)
    assert look() is None


def test_a_hidden_full_screen_does_not_count(desk, look):
    window = desk.window()
    desk.state(window, "FULLSCREEN", "HIDDEN")
    assert look() is None


@pytest.mark.parametrize("kind", ["DESKTOP", "DOCK"])
def test_the_desktops_own_windows_do_not_count(desk, look, kind):
    window = desk.window(width=640, height=480)
    desk.front(window)
    atom = desk.display.get_atom(f"_NET_WM_WINDOW_TYPE_{kind}")
    desk.write(window, "_NET_WM_WINDOW_TYPE", ATOM, [atom])
    assert look() is None
    desk.state(window, "FULLSCREEN")
    assert look() is None


@pytest.mark.parametrize(("on", "is_seen"), [(0, True), (1, False), (0xFFFFFFFF, True)])
def test_another_virtual_desktop_is_not_looked_at(desk, look, on, is_seen):
    window = desk.window()
    desk.state(window, "FULLSCREEN")
    desk.write(desk.root, "_NET_CURRENT_DESKTOP", CARDINAL, [0])
    desk.write(window, "_NET_WM_DESKTOP", CARDINAL, [on])
    assert (look() is not None) is is_seen


def test_the_program_is_named_by_its_process(desk, look):
    window = desk.window()
    desk.state(window, "FULLSCREEN")
    desk.write(window, "_NET_WM_PID", CARDINAL, [os.getpid()])
    assert look() == psutil.Process().name()
    window.set_wm_client_machine(socket.gethostname())
    desk.display.sync()
    assert look() == psutil.Process().name()


def test_a_process_of_another_machine_is_not_looked_up_here(desk, look):
    window = desk.window()
    desk.state(window, "FULLSCREEN")
    desk.write(window, "_NET_WM_PID", CARDINAL, [os.getpid()])
    window.set_wm_client_machine("elsewhere")
    desk.display.sync()
    assert look() == "Film"


def test_without_a_window_manager_the_one_with_the_keyboard_is_looked_at(desk, look):
    window = desk.window(width=640, height=480, name="kiosk")
    desk.windows.clear()
    desk.root.delete_property(desk.display.get_atom("_NET_CLIENT_LIST_STACKING"))
    window.set_input_focus(X.RevertToParent, X.CurrentTime)
    desk.display.sync()
    assert look() == "Kiosk"
    window.destroy()
    desk.display.sync()
    assert look() is None


def test_properties_of_another_form_and_windows_that_have_gone_are_passed_over(desk, look):
    window = desk.window()
    window.change_property(desk.display.get_atom("_NET_WM_STATE"), Xatom.STRING, 8, b"FULLSCREEN")
    desk.write(desk.root, "_NET_ACTIVE_WINDOW", WINDOW, [0x7FFFFFF])
    desk.write(desk.root, "_NET_CLIENT_LIST_STACKING", WINDOW, [0x7FFFFFE, window.id])
    assert look() is None


def test_hundreds_of_windows_are_no_hundreds_of_questions(desk, look):
    first = desk.window()
    desk.state(first, "FULLSCREEN")
    others = [desk.root.id] * 200
    desk.write(desk.root, "_NET_CLIENT_LIST_STACKING", WINDOW, [first.id, *others])
    assert look() is None
