"""`byoi status --healthy`: whether the process is well, for whoever restarts it when it is not."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from byoi_agent.config.lock import holder_of
from byoi_agent.control.client import NodeUnreachable
from byoi_agent.control.instances import find
from byoi_agent.identity.record import read_record

if TYPE_CHECKING:
    from byoi_agent.cli.options import Chosen


def health(chosen: Chosen) -> str:
    """A sentence, where a restart would mend nothing.

    An engine that fails, or a console that is away, is not the process's fault: the node goes on
    trying by itself, and `byoi status` says so. Neither is a machine that waits for its approval.

    Raises:
        NodeUnreachable: no node runs, or the one that does is silent.
    """
    paths = chosen.paths
    found = find(paths, os.environ, is_named=chosen.is_data_dir_named)
    for node in found.nodes:
        node.client.version()
    if found.nodes:
        return "it answers"
    if read_record(paths.identity_file) is None and holder_of(paths.lock_file) is not None:
        return "it waits to be enrolled"
    raise NodeUnreachable(f"no node runs with the data folder {paths.state}")
