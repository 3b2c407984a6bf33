"""What every route needs of a request: who sent it, its body as a model, its query, its peer."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypeVar

from pydantic import BaseModel, ValidationError

from byoi_console.accounts.cross_site import SAFE_METHODS, check_origin, check_token
from byoi_console.accounts.sign_ins import COOKIE, CSRF_HEADER
from byoi_console.errors import Forbidden, InputInvalid, Unauthenticated

if TYPE_CHECKING:
    from starlette.requests import Request

    from byoi_console.accounts.principal import Principal
    from byoi_console.api.services import Services

BODY_LIMIT_BYTES: Final = 64 * 1024

Body = TypeVar("Body", bound=BaseModel)


async def principal_of(request: Request, services: Services) -> Principal:
    """Who sent it: an API key as bearer, an administrator's email and password, or their browser.

    Raises:
        Unauthenticated: none of them, or a wrong one.
        Forbidden: a browser's request that another site's page may have made.
        TooManyAttempts: too many wrong ones from this peer.
    """
    authorization = request.headers.get("authorization")
    if authorization is None and (cookie := request.cookies.get(COOKIE)) is not None:
        return await _signed_in(request, services, cookie)
    if authorization and authorization[:6].lower() == "basic ":
        return await services.people.authenticate(authorization, peer=peer_of(request))
    return await services.keys.authenticate(authorization, peer=peer_of(request))


async def _signed_in(request: Request, services: Services, cookie: str) -> Principal:
    sign_in = await services.sign_ins.look(cookie)
    if sign_in is None:
        raise Unauthenticated("This sign-in has ended. Sign in again.")
    # Reading too: a link on another site could type device codes in the person's name.
    check_origin(request.headers, services.url)
    if request.method not in SAFE_METHODS:
        check_token(sign_in, request.headers.get(CSRF_HEADER, ""))
    return sign_in.principal


async def admin_of(request: Request, services: Services) -> Principal:
    """Who sent it, provided they may administer their organisation.

    Raises:
        Forbidden: an inference key.
        Unauthenticated: see `principal_of`.
        TooManyAttempts: see `principal_of`.
    """
    principal = await principal_of(request, services)
    if not principal.is_admin:
        raise Forbidden("This needs an admin key.")
    return principal


async def body_of(request: Request, model: type[Body]) -> Body:
    """The JSON body as `model`; no body at all is an empty object.

    Raises:
        InputInvalid: it is too large, no JSON, or a field of it is wrong.
    """
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > BODY_LIMIT_BYTES:
            raise InputInvalid("The body is larger than 64 KiB.")
    try:
        return model.model_validate_json(bytes(raw) or b"{}")
    except ValidationError as error:
        first = error.errors()[0]
        param = ".".join(str(part) for part in first["loc"]) or None
        message = f"{param}: {first['msg']}" if param else first["msg"]
        raise InputInvalid(message, param) from error


def number_of(request: Request, name: str, default: int, limit: int) -> int:
    """A query parameter as a number from 1 to `limit`.

    Raises:
        InputInvalid: it is none.
    """
    text = request.query_params.get(name, str(default))
    if not text.isdecimal() or not text.isascii() or not 1 <= int(text[:9]) <= limit:
        raise InputInvalid(f"{name} must be a number from 1 to {limit}.", name)
    return int(text)


def peer_of(request: Request) -> str:
    """The address that the request came from."""
    return request.client.host if request.client else ""


def moment(at_ms: int | None) -> str | None:
    """Milliseconds of Unix time as people read them: ISO 8601, UTC."""
    if at_ms is None:
        return None
    time = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return time.replace("+00:00", "Z")
