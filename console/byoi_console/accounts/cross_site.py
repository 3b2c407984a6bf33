"""Whether a browser's request was meant by the person at it, or made by somebody else's page."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Final

from byoi_console.errors import Forbidden

if TYPE_CHECKING:
    from collections.abc import Mapping

    from byoi_console.accounts.sign_ins import SignIn

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})

_OWN_SITES: Final = frozenset({"same-origin", "none"})


def check_origin(headers: Mapping[str, str], own_origin: str) -> None:
    """Say nothing where the request may come from a page of ours.

    Browsers tell where a request comes from in `Sec-Fetch-Site` and, when it changes something, in
    `Origin`; neither can be set by a page's script. A program sends neither, and has no cookie
    that somebody else could use.

    Args:
        headers: the request's, by lower-case name.
        own_origin: the console's public one; what `Host` names is its own as well.

    Raises:
        Forbidden: another site's page made the request.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None and site not in _OWN_SITES:
        raise Forbidden("This request was made by a page of another site.")
    if site is None and origin is not None and origin != own_origin:
        host = headers.get("host", "")
        if not host or origin.partition("://")[2] != host:
            raise Forbidden("This request was made by a page of another site.")


def check_token(sign_in: SignIn, given: str) -> None:
    """Say nothing where the request carries the token of its own sign-in.

    Raises:
        Forbidden: it is missing or another one's.
    """
    expected = sign_in.csrf_token.encode()
    if not hmac.compare_digest(given.encode(), expected):
        raise Forbidden("This form is from an earlier sign-in. Open the page again and repeat it.")
