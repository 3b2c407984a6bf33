"""Who looks at a page, what their form says, and how an answer is rendered for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import FormData, UploadFile
from starlette.responses import HTMLResponse

from byoi_console.accounts.cross_site import check_origin, check_token
from byoi_console.accounts.sign_ins import COOKIE, CSRF_HEADER
from byoi_console.errors import ConsoleError, InputInvalid
from byoi_console.pages.rendering import environment

if TYPE_CHECKING:
    from starlette.requests import Request

    from byoi_console.accounts.organisations import Organisation
    from byoi_console.accounts.principal import Principal
    from byoi_console.accounts.sign_ins import SignIn
    from byoi_console.pages.services import PageServices
    from byoi_wire.ids import OrgId

BY_TIMER_HEADER: Final = "x-by-timer"
EVENT_STREAM: Final = "text/event-stream"
FORM_LIMIT_BYTES: Final = 64 * 1024
_FIELDS_LIMIT: Final = 200


class SignInNeeded(ConsoleError):
    """Nobody is signed in; the answer leads to the sign-in page and back.

    Attributes:
        location: that page, with the way back.
    """

    def __init__(self, location: str) -> None:
        super().__init__("Sign in first.")
        self.location = location


@dataclass(frozen=True)
class SignedIn:
    """Who looks at a page, and for which organisation."""

    sign_in: SignIn

    @property
    def person_id(self) -> str:
        """Who."""
        return self.sign_in.person_id

    @property
    def email(self) -> str:
        """As they signed in."""
        return self.sign_in.email

    @property
    def org_id(self) -> OrgId:
        """The organisation that they look at now."""
        return self.sign_in.organisation.id

    @property
    def org_name(self) -> str:
        """Its name."""
        return self.sign_in.organisation.name

    @property
    def orgs(self) -> tuple[Organisation, ...]:
        """All that they administer, the oldest first."""
        return self.sign_in.organisations

    @property
    def csrf_token(self) -> str:
        """What every form carries as `csrf_token`."""
        return self.sign_in.csrf_token

    @property
    def principal(self) -> Principal:
        """What they may do, as the API's checks see it."""
        return self.sign_in.principal


async def signed_in(request: Request, services: PageServices) -> SignedIn:
    """Who is signed in at this browser; every page but those of the door begins with it.

    What a page fetches by itself is no sign that somebody is still there; browsers open streams of
    events (`Accept` says so) again and again without anybody's doing.

    Raises:
        SignInNeeded: nobody, or no more.
    """
    is_stream = request.headers.get("accept") == EVENT_STREAM
    is_person = BY_TIMER_HEADER not in request.headers and not is_stream
    found = await services.sign_ins.look(request.cookies.get(COOKIE), is_person=is_person)
    if found is None:
        raise SignInNeeded(_sign_in_url(request))
    request.state.signed_in = SignedIn(found)
    return SignedIn(found)


async def form_of(request: Request, who: SignedIn) -> FormData:
    """A signed-in person's form, once it is sure that they meant to send it.

    Raises:
        Forbidden: another site's page sent it, or its token is not this sign-in's.
        InputInvalid: it is no form, or too large.
    """
    fields = await door_form_of(request)
    check_token(who.sign_in, request.headers.get(CSRF_HEADER) or text_of(fields, "csrf_token"))
    return fields


async def door_form_of(request: Request) -> FormData:
    """A form of somebody who need not be signed in.

    Raises:
        Forbidden: another site's page sent it.
        InputInvalid: it is no URL-encoded form, is too large, or holds NUL.
    """
    check_origin(request.headers, request.app.state.url)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind and kind != "application/x-www-form-urlencoded":
        raise InputInvalid("Send a form (application/x-www-form-urlencoded).")
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > FORM_LIMIT_BYTES:
            raise InputInvalid("The form is larger than 64 KiB.")
    try:
        pairs: list[tuple[str, str | UploadFile]] = [
            *parse_qsl(
                raw.decode(), keep_blank_values=True, max_num_fields=_FIELDS_LIMIT, errors="strict"
            )
        ]
    except ValueError as error:
        raise InputInvalid("The form cannot be read.") from error
    if b"\0" in raw or b"%00" in raw:
        raise InputInvalid("The form holds a character that no text has.")
    return FormData(pairs)


def text_of(fields: FormData, name: str) -> str:
    """A field's text; empty where the form does not have it."""
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def render(
    request: Request, template: str, *, status_code: int = 200, **context: object
) -> HTMLResponse:
    """A page; `who` is set in it when `signed_in` was asked before."""
    who: SignedIn | None = getattr(request.state, "signed_in", None)
    page = environment().get_template(template)
    text = page.render(who=who, path=request.url.path, **context)
    return HTMLResponse(text, status_code=status_code)


def _sign_in_url(request: Request) -> str:
    """Back to the page that was asked for; a form that was sent is lost, so not back to it."""
    wanted = request.url.path
    if request.method not in {"GET", "HEAD"} or request.headers.get("hx-request") or wanted == "/":
        return "/sign-in"
    if request.url.query:
        wanted = f"{wanted}?{request.url.query}"
    return f"/sign-in?{urlencode({'next': wanted})}"
