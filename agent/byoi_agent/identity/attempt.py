"""An enrolment that has begun: should its answer be lost, the next one asks with the same key.

A console that has admitted a machine, and was not heard, knows it again by join token and key, and
takes no second use. So the key is written down before it is asked, and stays where it may have said
yes: also where this process was killed.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from byoi_agent.config.files import read_private, write_private
from byoi_agent.errors import ConfigError, IdentityError, LinkError
from byoi_agent.identity import stores as key_stores
from byoi_agent.identity.console_http import AnswerLost
from byoi_agent.identity.keys import fingerprint_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from byoi_agent.identity.keys import KeyStore
    from byoi_agent.identity.stores import Kept


class _Attempt(BaseModel):
    """What was asked, and where the key lies; `way` is None where asking again is another thing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    console_url: str
    way: str | None
    fingerprint: str
    key_store: str


@dataclass(frozen=True)
class Begun:
    """The key to ask with. `is_again`: an earlier try asked with it, and may have been admitted."""

    key: Ed25519PrivateKey
    kept: Kept
    is_again: bool = False


@dataclass(frozen=True)
class Attempts:
    """Sole owner of the note of the enrolment under way; `way` says by what right it asks."""

    file: Path
    stores: Sequence[KeyStore]
    console_url: str
    way: str | None

    def again(self, used: Collection[str]) -> Begun | None:
        """The key of an earlier try of the same; that of any other try is forgotten.

        `used` are the fingerprints that the enrolment names, which was written in the end.

        Raises:
            IdentityError: that key can be neither had nor forgotten now; nothing has changed.
        """
        attempt = _read(self.file)
        if attempt is None or attempt.fingerprint in used:
            self.ended()
            return None
        same = (attempt.console_url, attempt.way) == (self.console_url, self.way)
        try:
            store = _store(attempt.key_store, self.stores)
            key = store.load(attempt.fingerprint) if same and self.way is not None else None
            if key is not None:
                return Begun(key, key_stores.Kept(store, ()), is_again=True)
            store.delete(attempt.fingerprint)
        except IdentityError as error:
            raise type(error)(
                "an enrolment that was begun here before has its key in the store "
                f"{attempt.key_store!r}, which cannot be used now ({error.__cause__ or error}). "
                f"See to that and type the same again; or give that try up: remove {self.file}"
            ) from error
        self.ended()
        return None

    def begin(self, key: Ed25519PrivateKey) -> Begun:
        """Keep a key, and write down that the console is asked with it.

        Raises:
            IdentityError: the key cannot be kept.
            ConfigError: the note cannot be written.
        """
        begun = Begun(key, key_stores.keep(key, self.stores))
        attempt = _Attempt(
            console_url=self.console_url,
            way=self.way,
            fingerprint=fingerprint_of(key),
            key_store=begun.kept.store.name,
        )
        try:
            write_private(self.file, attempt.model_dump_json().encode())
        except BaseException as error:
            _forget(begun)
            if isinstance(error, OSError):
                raise ConfigError(f"{self.file} cannot be written: {error.strerror}") from error
            raise
        return begun

    def failed(self, begun: Begun, error: BaseException, *, was_asked: bool) -> None:
        """Forget the key, unless the console may have admitted it and can be asked again.

        `was_asked`: the question may have left this machine.
        """
        if self.way is None or not _may_be_admitted(begun, error, was_asked=was_asked):
            _forget(begun)
            self.ended()

    def ended(self) -> None:
        """The enrolment is written, or came to nothing."""
        self.file.unlink(missing_ok=True)


def give_up(file: Path, stores: Sequence[KeyStore], used: Collection[str]) -> list[str]:
    """Forget the enrolment that was begun, if any; the answer is what a person should hear.

    `used` are the fingerprints of the enrolment that was written: of that nothing is said.
    """
    told: list[str] = []
    attempt = _read(file)
    if attempt is not None and attempt.fingerprint not in used:
        url, name, fingerprint = attempt.console_url, attempt.key_store, attempt.fingerprint
        told.append(
            f"an enrolment with {url} that was begun here is given up too; should that console "
            "have admitted it, revoke there what never connected"
        )
        try:
            _store(name, stores).delete(fingerprint)
        except IdentityError as error:
            told.append(f"the key {fingerprint} is still in the {name} store: {error}")
    file.unlink(missing_ok=True)
    return told


def _read(file: Path) -> _Attempt | None:
    try:
        return _Attempt.model_validate_json(read_private(file))
    except (FileNotFoundError, ConfigError, ValidationError):
        return None


def _store(name: str, stores: Sequence[KeyStore]) -> KeyStore:
    for store in stores:
        if store.name == name:
            return store
    raise IdentityError("key_store rules it out")


def _forget(begun: Begun) -> None:
    with suppress(IdentityError):  # what went wrong is the news
        begun.kept.store.delete(fingerprint_of(begun.key))


def _may_be_admitted(begun: Begun, error: BaseException, *, was_asked: bool) -> bool:
    match error:
        case AnswerLost():
            return True
        case IdentityError() if was_asked:
            return False
        case LinkError():
            return begun.is_again
        case _:  # told to end meanwhile, the answer could not be written down, or never asked
            return begun.is_again or was_asked
