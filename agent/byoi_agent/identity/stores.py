"""Which key store is used: the owner's choice, or the safest that works."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, NamedTuple

from byoi_agent.errors import IdentityError
from byoi_agent.identity.credential_store import CredentialStore
from byoi_agent.identity.dpapi import machine_seal
from byoi_agent.identity.file_store import FileStore
from byoi_agent.identity.keyring_store import PATIENT_SECONDS, KeyringStore

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from byoi_agent.config.paths import Paths
    from byoi_agent.config.settings import Settings
    from byoi_agent.identity.keys import KeyStore

logger = logging.getLogger(__name__)


class Kept(NamedTuple):
    """Where a key was saved, and what each safer store said instead."""

    store: KeyStore
    passed_over: tuple[str, ...]


def stores_for(
    settings: Settings,
    paths: Paths,
    environment: Mapping[str, str],
    platform: str = sys.platform,
) -> tuple[KeyStore, ...]:
    """The stores to try, safest first; just one where the owner named it.

    Windows' keyring is the account's that runs this: an administrator who enrols the service has
    another one than the service.
    """
    is_only = settings.key_store == KeyringStore.name
    stores: tuple[KeyStore, ...] = (
        CredentialStore(environment),
        KeyringStore(seconds=PATIENT_SECONDS if is_only else None),
        FileStore(paths.keys_folder, machine_seal()),
    )
    if settings.key_store == "auto":
        is_service = platform == "win32" and bool(environment.get("STATE_DIRECTORY"))
        return tuple(one for one in stores if not (is_service and one.name == KeyringStore.name))
    return tuple(store for store in stores if store.name == settings.key_store)


def named(name: str, stores: Sequence[KeyStore]) -> KeyStore:
    """The store that an enrolment says its key lies in.

    Raises:
        IdentityError: the settings rule it out.
    """
    for store in stores:
        if store.name == name:
            return store
    raise IdentityError(
        f"the node's key lies in the store {name!r}, which key_store rules out; "
        f"set key_store to {name!r}, or enrol again"
    )


def keep(key: Ed25519PrivateKey, stores: Sequence[KeyStore]) -> Kept:
    """Save a key in the first store that takes it.

    Raises:
        IdentityError: none does; the message is the last one's.
    """
    refusal = IdentityError("there is no place for the node's key")
    passed_over: list[str] = []
    for store in stores:
        try:
            store.save(key)
        except IdentityError as error:
            logger.debug("key store refused", extra={"store": store.name, "reason": str(error)})
            passed_over.append(str(error))
            refusal = error
        else:
            return Kept(store, tuple(passed_over))
    raise refusal
