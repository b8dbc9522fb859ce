"""``/oauth/authorize``: an owner looks at what an application wants, and allows it or does not.

There are no cookies: whoever allows something shows a key or a signature with the same form, so no other site can have
a browser do it, and there is nothing to be forged.
"""

from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request
from starlette.responses import RedirectResponse, Response

from ..services.errors import Refused
from ..services.oauth import OAuth
from ..services.oauth_parties import Sent
from ..services.oauth_server import Elsewhere, Wanted, Wrong, unreadable
from .auth import Gate
from .consent_page import failure, question
from .oauth import form, read_form
from .openapi import errors

_PATH = "/oauth/authorize"
# Of the request; the page sends them again, and they are looked at again.
_ASKED = (
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "code_challenge",
    "code_challenge_method",
)
_FIELD_CHARS_MAX = 2000
_NO_STORE = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
_HTML: dict[str, Any] = {"content": {"text/html": {"schema": {"type": "string"}}}}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The page.", **_HTML},
    400: {"description": "A page that says what is wrong with the request.", **_HTML},
    **errors("RATE_LIMITED"),
}


def add_consent_routes(app: FastAPI, oauth: OAuth, gate: Gate) -> None:
    """Add the page and what it sends."""

    @app.get(
        _PATH,
        tags=["OAuth"],
        summary="Ask an owner to allow something",
        response_class=Response,
        responses={
            **_RESPONSES,
            302: {"description": "To the application, with what is wrong with its request."},
        },
        openapi_extra={
            "parameters": [
                {"name": name, "in": "query", "schema": {"type": "string"}} for name in _ASKED
            ]
        },
    )
    async def show(request: Request, _: Annotated[None, Depends(gate.anybody)]) -> Response:
        """The browser is sent here (RFC 6749, 4.1.1, with PKCE S256). The page has no script, and its
        owner signs in on it with a key or with the wallet's signature."""
        sent = _asked("GET", tuple(request.query_params.multi_items()))
        found = await oauth.wanted(sent) if isinstance(sent, Sent) else sent
        if isinstance(found, Wanted):
            assert isinstance(sent, Sent), "what was found out is about it"
            return question(found, sent.fields)
        return _sent_on(found, 302)

    @app.post(
        _PATH,
        tags=["OAuth"],
        summary="Allow an application something, or not",
        response_class=Response,
        responses={
            **_RESPONSES,
            303: {"description": "To the application, with a code, or with why there is none."},
            401: {
                "description": "The page, with why the key or the signature is no good.",
                **_HTML,
            },
            403: {"description": "The page, with what the key lacks.", **_HTML},
            422: {"description": "The page, with what is wrong with a field.", **_HTML},
            **errors("PAYLOAD_TOO_LARGE", "RATE_LIMITED"),
        },
        openapi_extra=form(
            ("action", "client_id"),
            action=["allow", "challenge", "signed", "deny"],
            api_key=None,
            wallet=None,
            message=None,
            signature=None,
            **dict.fromkeys(_ASKED),
        ),
    )
    async def decide(request: Request, _: Annotated[None, Depends(gate.anybody)]) -> Response:
        """What the page sends."""
        fields = await read_form(request)
        if isinstance(fields, Response):
            return failure(Wrong("invalid_request", "The form can not be read."))
        said = dict(fields)
        sent = _asked("POST", fields)
        found = await oauth.wanted(sent) if isinstance(sent, Sent) else sent
        if not isinstance(found, Wanted):
            return _sent_on(found, 303)
        assert isinstance(sent, Sent), "what was found out is about it"
        # Line ends of a form's text are two characters.
        message = said.get("message", "").replace("\r\n", "\n")
        try:
            match said.get("action"):
                case "deny":
                    return _sent_on(await oauth.deny(sent), 303)
                case "allow":
                    caller = await gate.caller_of(said.get("api_key", "")[:512].strip())
                    allowed = await oauth.allow_with_key(sent, found, caller.account, caller.key)
                    return _sent_on(allowed, 303)
                case "challenge":
                    made = oauth.challenge(said.get("wallet", "").strip())
                    return question(found, sent.fields, message=made.text)
                case "signed":
                    signature = said.get("signature", "").strip()
                    return _sent_on(
                        await oauth.allow_with_wallet(sent, found, message, signature), 303
                    )
                case _:
                    return failure(Wrong("invalid_request", "The form has no such action."))
        except Refused as error:
            if error.code == "RATE_LIMITED":
                raise
            status = 403 if error.code == "FORBIDDEN" else 401
            return question(found, sent.fields, problem=error.message, status=status)


def _asked(method: str, fields: tuple[tuple[str, str], ...]) -> Sent | Wrong:
    """What of some fields is the application's request."""
    asked = tuple((name, value) for name, value in fields if name in _ASKED)
    if any(len(value) > _FIELD_CHARS_MAX for _, value in asked):
        return Wrong("invalid_request", "A field of the request is too long.")
    if unreadable(asked) is not None:
        return Wrong(
            "invalid_request", "A field of the request has a character that it must not have."
        )
    return Sent(method, asked)


def _sent_on(found: Wanted | Elsewhere | Wrong, status: int) -> Response:
    if isinstance(found, Elsewhere):
        return RedirectResponse(found.location, status, headers=_NO_STORE)
    assert isinstance(found, Wrong), "what is wanted is asked"
    return failure(found)
