"""``/docs``: the OpenAPI document as a page, without anything from another host.

One file of HTML, style and script: it must also work on a machine without internet, and a page on
which people handle API keys should run nobody else's code.
"""

import base64
import hashlib
from importlib import resources

_TEXT = resources.files(__package__).joinpath("docs.html").read_text("utf-8")


def _digest(tag: str) -> str:
    """The hash of the page's one inline element of this kind, as Content-Security-Policy has it."""
    content = _TEXT.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
    return base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


HTML = _TEXT
HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; connect-src 'self'; script-src 'sha256-{_digest('script')}'; "
        f"style-src 'sha256-{_digest('style')}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
