"""The icon in a real tray of a real X server, beside a control API that answers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

xlib = pytest.importorskip("Xlib")
from Xlib import X, Xatom, display  # noqa: E402
from Xlib.protocol import event  # noqa: E402

pytestmark = pytest.mark.slow
WAIT_SECONDS = 90.0


class Node(ThreadingHTTPServer):
    """The part of the control API that the icon asks."""

    daemon_threads = True

    def __init__(self, port=0):
        super().__init__(("127.0.0.1", port), _Handler)
        self.is_paused = False
        self.orders = []
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}).start()

    @property
    def environment(self):
        return {
            "BYOI_CONTROL_URL": f"http://127.0.0.1:{self.server_address[1]}",
            "BYOI_CONTROL_TOKEN": "token",
        }

    def close(self):
        self.shutdown()
        self.server_close()

    def held(self):
        state = "yield" if self.is_paused else "serve"
        facts = {"mode": "idle", "state": state, "code": "x", "reason": "you are away"}
        return facts | {"is_paused": self.is_paused}


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self._answer(
            {
                "node_id": "n",
                "agent_version": "1",
                "pid": 1,
                "uptime_seconds": 1.0,
                "key_store": "file",
                "is_serving": True,
                "is_draining": False,
                "running": 0,
                "waiting": 0,
                "slots": 1,
                "queue": 1,
                "unacknowledged_records": 0,
                "link": {"state": "online", "console_url": "https://console.example"},
                "engine": {"state": "ready", "kind": "llamacpp"},
                "availability": self.server.held(),
            }
        )

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])) or b"{}")
        order = self.path.rsplit("/", 1)[1]
        self.server.orders.append((order, body))
        self.server.is_paused = order == "pause"
        self._answer(self.server.held())

    def _answer(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Tray:
    """A system tray, as freedesktop.org's specification has it: takes icons into its window."""

    def __init__(self, name):
        self._display = display.Display(name)
        screen = self._display.screen()
        self._window = screen.root.create_window(0, 0, 64, 64, 0, X.CopyFromParent)
        self._window.map()
        selection = self._atom("_NET_SYSTEM_TRAY_S0")
        self._window.set_selection_owner(selection, X.CurrentTime)
        told = event.ClientMessage(
            window=screen.root,
            client_type=self._atom("MANAGER"),
            data=(32, [X.CurrentTime, selection, self._window.id, 0, 0]),
        )
        screen.root.send_event(told, event_mask=X.StructureNotifyMask)
        self._display.flush()
        self.icon = None

    def _atom(self, name):
        return self._display.intern_atom(name)

    def take_icon(self):
        """Wait for the one that asks to be taken."""
        until = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < until:
            while self._display.pending_events():
                came = self._display.next_event()
                if came.type == X.ClientMessage:
                    self.icon = self._display.create_resource_object("window", came.data[1][2])
                    self.icon.reparent(self._window, 0, 0)
                    self.icon.configure(width=64, height=64)
                    self.icon.map()
                    self._display.sync()
                    return
            time.sleep(0.01)
        raise AssertionError("no icon asked for a place")

    def colour(self):
        """Of the disc's edge, as it is on the screen: red, green, blue."""
        picture = self._window.get_image(4, 30, 4, 4, X.ZPixmap, 0xFFFFFFFF)
        blue, green, red = picture.data[:3]
        return red, green, blue

    def title(self):
        found = self.icon.get_full_property(Xatom.WM_NAME, X.AnyPropertyType)
        return found.value if isinstance(found.value, str) else found.value.decode()

    def until(self, colour):
        until = time.monotonic() + WAIT_SECONDS
        while (seen := self.colour()) != colour:
            assert time.monotonic() < until, f"the icon is {seen} instead of {colour}"
            time.sleep(0.02)

    def click(self):
        for kind in (event.ButtonPress, event.ButtonRelease):
            self.icon.send_event(
                kind(
                    time=X.CurrentTime,
                    root=self._display.screen().root,
                    window=self.icon,
                    same_screen=1,
                    child=X.NONE,
                    root_x=5,
                    root_y=5,
                    event_x=5,
                    event_y=5,
                    state=0,
                    detail=1,
                )
            )
        self._display.sync()

    def close(self):
        self._display.close()


GREEN, AMBER, GREY = (0x1A, 0x7F, 0x37), (0xBF, 0x87, 0x00), (0x8C, 0x95, 0x9F)


@pytest.fixture
def x_server():
    if shutil.which("Xvfb") is None:
        pytest.skip("needs Xvfb: apt install xvfb")
    read_end, write_end = os.pipe()
    command = ["Xvfb", "-displayfd", str(write_end), "-screen", "0", "200x200x24", "-noreset"]
    process = subprocess.Popen(
        [*command, "-nolisten", "tcp"],
        pass_fds=(write_end,),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(write_end)
    with os.fdopen(read_end) as told:
        number = told.readline().strip()
    yield f":{number}"
    process.kill()
    process.wait()


def test_the_icon_follows_the_node_and_a_click_pauses_and_resumes(x_server, tmp_path):
    node, tray = Node(), Tray(x_server)
    environment = {**os.environ, **node.environment, "DISPLAY": x_server}
    environment |= {"PYSTRAY_BACKEND": "xorg", "BYOI_DATA_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "byoi_agent.cli.main", "tray"]
    icon = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        tray.take_icon()
        tray.until(GREEN)
        tray.click()
        tray.until(AMBER)
        assert node.orders == [("pause", {"seconds": None, "finish": False})]
        tray.click()
        tray.until(GREEN)
        assert node.orders[1][0] == "resume"
        node.close()
        tray.until(GREY)
        node = Node(node.server_address[1])
        tray.until(GREEN)
    finally:
        icon.kill()
        _, said = icon.communicate()
        tray.close()
        node.close()
    assert "Traceback" not in said
