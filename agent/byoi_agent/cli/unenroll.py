"""`byoi unenroll`: this machine is no node any more."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

import click

from byoi_agent.cli.options import choose, debug_option, json_option, setting_options
from byoi_agent.config.lock import StateInUse, StateLock
from byoi_agent.config.paths import prepare
from byoi_agent.errors import AgentError, IdentityError, LinkError
from byoi_agent.identity.attempt import give_up as give_up_attempt
from byoi_agent.identity.console_http import ConsoleHttp
from byoi_agent.identity.enrolment import load_identity
from byoi_agent.identity.membership import forget_keys
from byoi_agent.identity.record import read_record
from byoi_agent.identity.stores import stores_for
from byoi_agent.identity.unenrolment import give_back
from byoi_agent.usage.leftovers import count_waiting, give_up

if TYPE_CHECKING:
    from collections.abc import Iterator

    from byoi_agent.cli.options import Chosen
    from byoi_agent.identity.record import EnrolmentRecord

STOP_SECONDS: Final = 10.0
"""How long a running node may take to end once the console has sent it away."""

_LOOK_SECONDS: Final = 0.1


@click.command()
@setting_options("data_dir", "key_store", "ca_file")
@click.option("--yes", is_flag=True, help="Do not ask, and lose usage that is not booked yet.")
@click.option("--force", is_flag=True, help="Forget it here alone, without the console.")
@json_option
@debug_option
def unenroll(*, yes: bool, force: bool, as_json: bool, **flags: object) -> None:
    """Give this machine's place at its console back, and forget the node's key.

    The console ends a running node. What it has booked stays booked, and `byoi usage` goes on
    showing it.
    """
    chosen = choose(flags)
    record = read_record(chosen.paths.identity_file)
    if record is None:
        raise IdentityError("this machine is not enrolled, so there is nothing to give back")
    prepare(chosen.paths)
    _warn_of_usage(chosen, is_accepted=yes or force)
    if not (yes or force) and sys.stdin.isatty():
        question = f"Give the place of {record.name or record.node_id} at {record.origin} back?"
        click.confirm(question, abort=True)
    if not force:
        asyncio.run(_give_back(chosen, record))
    _forget(chosen, record, is_given_back=not force)
    if as_json:
        told = {"node_id": record.node_id, "origin": record.origin, "is_given_back": not force}
        click.echo(json.dumps(told))
    elif not force:
        click.echo(f"{record.origin} has {record.node_id} no more, and its key is gone.")
    else:
        click.echo(
            f"The key is gone from this machine. {record.origin} still lists {record.node_id}: "
            "have it deleted there."
        )


def _warn_of_usage(chosen: Chosen, *, is_accepted: bool) -> None:
    if not (count := count_waiting(chosen.paths.outbox_file)):
        return
    if not is_accepted:
        raise AgentError(
            f"{count} usage records have not been booked by the console, and never will be after "
            "this. Let byoi run send them (byoi status shows how many are left), or add --yes"
        )
    click.echo(f"byoi: {count} usage records will not be booked", err=True)


async def _give_back(chosen: Chosen, record: EnrolmentRecord) -> None:
    settings, paths = chosen.settings, chosen.paths
    identity = load_identity(paths.identity_file, stores_for(settings, paths, os.environ))
    http = ConsoleHttp(record.console_url, settings.ca_file)
    try:
        # Where a new key waits for its first link, the console takes that one in any case.
        await give_back(http, identity.successor or identity, now_ms=round(time.time() * 1000))
    except LinkError as error:
        raise LinkError(
            f"{error}. Nothing has changed; try again, or forget it here alone: "
            "byoi unenroll --force",
            retry=True,
        ) from error


def _forget(chosen: Chosen, record: EnrolmentRecord, *, is_given_back: bool) -> None:
    paths = chosen.paths
    with _lock(chosen, seconds=STOP_SECONDS if is_given_back else 0.0):
        # What a rotation may have changed meanwhile.
        current = read_record(paths.identity_file) or record
        stores = stores_for(chosen.settings, paths, os.environ)
        used = [fingerprint for fingerprint, _ in current.private_keys]
        left = forget_keys(current, stores) + give_up_attempt(paths.attempt_file, stores, used)
        paths.identity_file.unlink(missing_ok=True)
        give_up(paths.outbox_file, time.time())
    for sentence in left:
        click.echo(f"byoi: {sentence}", err=True)
    if any(store == "credential" for _, store in current.private_keys):
        click.echo(
            "byoi: the credential device-key stays, and is root's to take away: "
            "rm /etc/credstore.encrypted/byoi.device-key (or where else the unit has it from)",
            err=True,
        )


@contextmanager
def _lock(chosen: Chosen, seconds: float) -> Iterator[None]:
    """The state lock, once a node that was sent away has ended.

    Raises:
        StateInUse: it has not; the message says what to type.
    """
    until = time.monotonic() + seconds
    with ExitStack() as held:
        while True:
            try:
                held.enter_context(StateLock(chosen.paths.lock_file))
                break
            except StateInUse as error:
                if time.monotonic() >= until:
                    told = "the place is given back, but it is " if seconds else ""
                    raise StateInUse(
                        f"{told}{error}; stop that, then: byoi unenroll --force"
                    ) from error
            time.sleep(_LOOK_SECONDS)
        yield
