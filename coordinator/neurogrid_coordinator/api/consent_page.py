"""The page on which an owner allows an application something: HTML without any script, and what may be on it."""

import base64
import hashlib
from collections.abc import Iterable
from html import escape
from importlib import resources
from urllib.parse import urlsplit

from starlette.responses import HTMLResponse, Response

from ..services.oauth_server import Wanted, Wrong

_TEXT = resources.files(__package__).joinpath("consent.html").read_text("utf-8")
_STYLE = base64.b64encode(
    hashlib.sha256(_TEXT.partition("<style>")[2].partition("</style>")[0].encode()).digest()
).decode()
_MAY = {
    "read": "see everything of your account: jobs, files, money",
    "write": "submit and end jobs, which spends your deposit, and go into them",
    "keys": "make and revoke API keys of your account",
}


def question(
    wanted: Wanted,
    fields: Iterable[tuple[str, str]],
    *,
    problem: str = "",
    message: str = "",
    status: int = 200,
) -> Response:
    """Whether the application may.

    Args:
        fields: of the request, which the page sends again.
        problem: what was wrong with what was sent from it.
        message: for the wallet to sign; "" to ask for a key, or for which wallet.
    """
    hidden = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
        for name, value in fields
    )
    may = "".join(f"<li>{escape(_MAY[scope])}</li>" for scope in wanted.scopes)
    where = _origin(wanted.redirect_uri)
    said = f'<p class="problem" role="alert">{escape(problem)}</p>' if problem else ""
    body = (
        f"<h1>Allow <em>{escape(wanted.client.name)}</em> to use your NeuroGrid account?</h1>{said}"
        f"<p>It calls itself so; nobody has checked who it is. It would be told at <code>{escape(where)}</code>, and may then</p>"
        f"<ul>{may}</ul><p>until you take it back, for 90 days at most.</p>"
    )
    body += _signing(hidden, message) if message else _asking(hidden)
    body += (
        f'<form method="post" action="/oauth/authorize">{hidden}'
        '<button name="action" value="deny">No</button></form>'
    )
    return _page(body, status, where)


def failure(wrong: Wrong) -> Response:
    """Why nothing can be asked; nobody is sent anywhere."""
    return _page(
        f'<h1>This application can not be allowed anything</h1><p class="problem">{escape(wrong.description or wrong.error)}</p>'
        "<p>What sent you here made a mistake, or is not what it says. Nothing has happened.</p>",
        400,
        "",
    )


def _asking(hidden: str) -> str:
    return (
        '<form method="post" action="/oauth/authorize" autocomplete="off"><fieldset><legend>With an API key</legend>'
        f'{hidden}<label>A key with the scope <code>keys</code><input type="password" name="api_key" maxlength="512" required></label>'
        '<button class="main" name="action" value="allow">Allow</button></fieldset></form>'
        '<form method="post" action="/oauth/authorize"><fieldset><legend>Or with your wallet</legend>'
        f'{hidden}<label>Its address<input name="wallet" maxlength="44" required></label>'
        '<button name="action" value="challenge">What to sign</button></fieldset></form>'
    )


def _signing(hidden: str, message: str) -> str:
    return (
        '<form method="post" action="/oauth/authorize" autocomplete="off"><fieldset><legend>Sign this with your wallet</legend>'
        f'{hidden}<textarea name="message" readonly>{escape(message)}</textarea>'
        '<label>The signature, in Base64<input name="signature" maxlength="100" required></label>'
        '<button class="main" name="action" value="signed">Allow</button></fieldset></form>'
    )


def _page(body: str, status: int, where: str) -> Response:
    # The answer to the form leads to the application: browsers hold redirects to form-action, too.
    headers = {
        "Content-Security-Policy": (
            f"default-src 'none'; style-src 'sha256-{_STYLE}'; form-action 'self' {where}".rstrip()
            + "; base-uri 'none'; frame-ancestors 'none'"
        ),
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }
    return HTMLResponse(_TEXT.replace("{body}", body), status, headers=headers)


def _origin(uri: str) -> str:
    """What the policy names: a host, or an app's own scheme. Redirect URIs have no character that could end it."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else f"{parts.scheme}:"
