"""The console's port: the usual one, or any free one and a word about it."""

from __future__ import annotations

import socket
from typing import NamedTuple

from byoi_agent.demo.choices import DEFAULT_PORT


class Port(NamedTuple):
    """0 lets the console take any free one; `is_usual_taken` is what the user should hear of."""

    number: int
    is_usual_taken: bool


def choose(wanted: int | None) -> Port:
    """The user's own choice as it is (the console says if it is taken), else the usual port."""
    if wanted is not None:
        return Port(wanted, is_usual_taken=False)
    if _is_free(DEFAULT_PORT):
        return Port(DEFAULT_PORT, is_usual_taken=False)
    return Port(0, is_usual_taken=True)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # A port that only waits for its last connections to be forgotten is free to listen on.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
