"""TLS on the listening socket: the certificate at the start, and a renewed one later."""

from __future__ import annotations

import logging
import ssl
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cryptography import x509

from byoi_console.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)


class Certificate:
    """Sole owner of the listener's TLS context.

    Attributes:
        context: for every connection of the listener; what is loaded anew counts for new ones.
    """

    def __init__(self, chain: Path, key: Path) -> None:
        """Load both.

        Raises:
            ConfigError: a file cannot be read, is none, or the two do not fit together.
        """
        self._chain = chain
        self._key = key
        self.context = _context(chain, key)
        self._tell("certificate loaded")

    def reload(self) -> None:
        """Take what lies in the files now; what cannot be used is told, and the old one stays."""
        try:
            # First into a context of its own: half a pair must never reach the one in use.
            _context(self._chain, self._key)
            self.context.load_cert_chain(self._chain, self._key)
        except (ConfigError, OSError) as error:
            logger.error("certificate not reloaded", extra={"why": str(error)})  # noqa: TRY400
            return
        self._tell("certificate reloaded")

    def _tell(self, event: str) -> None:
        ends = _end_of(self._chain)
        fields = {"file": str(self._chain), "valid_until": ends.isoformat()}
        if ends < datetime.now(UTC):
            logger.warning("the certificate has expired: clients and nodes refuse it", extra=fields)
        else:
            logger.info(event, extra=fields)


def _context(chain: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    for setting, file in (("tls_cert", chain), ("tls_key", key)):
        try:
            file.read_bytes()
        except OSError as error:
            raise ConfigError(f"{setting}: cannot read {file}: {error.strerror}") from error
    asked: list[str] = []

    def no_passphrase() -> str:
        # Without a callback OpenSSL would ask the terminal.
        asked.append("for an encrypted key")
        return ""

    try:
        context.load_cert_chain(chain, key, password=no_passphrase)
        _end_of(chain)
    except (ssl.SSLError, ValueError) as error:
        why = "the key is encrypted; give one without a passphrase" if asked else _why(error)
        raise ConfigError(
            f"tls_cert {chain} and tls_key {key} cannot be used together: {why}"
        ) from error
    return context


def _end_of(chain: Path) -> datetime:
    return x509.load_pem_x509_certificate(chain.read_bytes()).not_valid_after_utc


def _why(error: Exception) -> str:
    if getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
        return "the key is not this certificate's"
    return "they are no PEM files of a certificate and its key"
