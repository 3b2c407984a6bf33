"""A running node of another account, like a system service: its folders are reached through it."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final, TypedDict

from byoi_agent.control.instances import find
from byoi_agent.errors import AgentError, ConfigError
from byoi_agent.models.shelf import Row
from byoi_agent.models.wheels import Progress

if TYPE_CHECKING:
    from byoi_agent.cli.options import Chosen
    from byoi_agent.control.client import ControlClient
    from byoi_agent.control.model_words import ModelStatus, PullOrder, PullStatus, ServeOrder
    from byoi_agent.demo.talk import Talk

_LOOK_SECONDS: Final = 0.5
_COMMIT_DIGITS: Final = 7


class PullTold(TypedDict):
    """What `byoi models pull --json` ends with."""

    model: str
    id: str
    commit: str
    size_bytes: int
    path: str
    was_here: bool
    removed: list[str]


def node_elsewhere(chosen: Chosen) -> ControlClient | None:
    """The node that is meant, where it runs with other folders than this user's; no demo.

    Raises:
        ConfigError: `BYOI_CONTROL_URL` without its token.
    """
    found = find(chosen.paths, os.environ, is_named=chosen.is_data_dir_named)
    if found.found_by == "demo":
        return None
    theirs = [node for node in found.nodes if node.state_dir != chosen.paths.state]
    return theirs[0].client if theirs else None


def listed(node: ControlClient) -> tuple[list[Row], list[tuple[str, int]]]:
    """Its models, and what came of pulls that ended early. Raises as `ControlClient.status`."""
    found = node.models()
    return [_row(one) for one in found.models], [(one.model, one.bytes) for one in found.unfinished]


def pulled(node: ControlClient, order: PullOrder, talk: Talk) -> PullTold:
    """Have it fetch a model, and wait; Ctrl-C ends that there too.

    Raises:
        AgentError: it could not; the message says why.
    """
    pull = node.pull(order)
    try:
        while pull.state in {"waiting", "pulling"}:
            time.sleep(_LOOK_SECONDS)
            pull = next((one for one in node.pulls().pulls if one.id == pull.id), pull)
            talk.progress(Progress(pull.phase or pull.state, pull.done_bytes, pull.total_bytes))
    except KeyboardInterrupt:
        node.cancel_pull(pull.id)
        raise
    if pull.state != "done":
        raise AgentError(f"the node could not fetch {order.model}: {pull.error or pull.state}")
    return _told(pull, node)


def removed(node: ControlClient, model: str, *, is_forced: bool) -> dict[str, object]:
    """Have it take a model from its disk. Raises AgentError where it refuses."""
    if is_forced:
        raise ConfigError("the node's own files go with --force only as its account")
    gone = node.remove_model(model)
    names = [name[: name.rfind("@") + 1 + _COMMIT_DIGITS] for name in gone.removed]
    return {"removed": names, "unfinished": gone.unfinished}


def served(node: ControlClient, model: str, order: ServeOrder | None) -> dict[str, object]:
    """Have it serve a model, or with None serve it no more. Raises AgentError where it refuses."""
    file = node.config().file or ""
    if order is None:
        node.unserve_model(model)
        return {"model": model, "served": False, "file": file, "reloaded": True}
    report = node.serve_model(model, order)
    known = (one.id for one in node.models().models if model in {one.name, one.id})
    return {
        "model": model,
        "id": next(known, model),
        "engine": report.engine or "",
        "served": True,
        "file": file,
        "reloaded": True,
    }


def _told(pull: PullStatus, node: ControlClient) -> PullTold:
    found = (one for one in node.models().models if _has_come(one, pull))
    if (one := max(found, key=lambda one: one.pulled_at or 0, default=None)) is None:
        raise AgentError(f"{pull.model} came and has gone again; see: byoi models list")
    return {
        "model": one.name,
        "id": one.id,
        "commit": one.commit or "",
        "size_bytes": one.size_bytes or 0,
        "path": one.path or "",
        "was_here": (one.pulled_at or 0) < int(pull.began_at),
        "removed": list(pull.removed),
    }


def _has_come(one: ModelStatus, pull: PullStatus) -> bool:
    """Whether it is what the pull brought; a node older than this byoi tells only what was asked.

    Of several that may be meant then, the youngest is.
    """
    if pull.came is not None:
        return f"{one.name}@{one.commit}" == pull.came
    asked = pull.model.partition("@")[0]
    return asked in {one.name, one.name.partition(":")[0]}


def _row(one: ModelStatus) -> Row:
    return Row(
        name=one.name,
        id=one.id,
        kind=one.kind,
        quantisation=one.quantisation,
        size_bytes=one.size_bytes,
        source=one.source,
        commit=one.commit,
        path=one.path,
        pulled_at=one.pulled_at,
        used_at=one.used_at,
        is_here=one.is_here,
        is_in_use=one.is_in_use,
        is_chosen=one.is_served,
        is_pinned=one.is_pinned,
        runs_own_code=one.runs_own_code,
        priority=one.priority,
    )
