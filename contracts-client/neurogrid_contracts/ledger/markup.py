"""HTML that cannot be broken out of: every text is escaped unless this module made it."""

import html
from collections.abc import Iterable

_VOID = frozenset({"meta", "link", "input", "br"})


class Html(str):
    """Markup made by ``element``; a plain ``str`` is text."""

    __slots__ = ()


Content = str | Iterable["Content"] | None


def element(name: str, /, *content: Content, **attributes: str | None) -> Html:
    """``<name attributes>content</name>``.

    ``class_`` is ``class``, ``http_equiv`` is ``http-equiv``; what is None is left out.
    """
    opening = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(_visible(value), quote=True)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Html(f"<{name}{opening}>")
    return Html(f"<{name}{opening}>{''.join(map(_inner, content))}</{name}>")


def _inner(content: Content) -> str:
    if content is None:
        return ""
    if isinstance(content, Html):
        return str(content)
    if isinstance(content, str):
        return html.escape(_visible(content), quote=True)
    return "".join(map(_inner, content))


def _visible(text: str) -> str:
    """Without characters that reorder or hide the others: who writes a memo must not fake a page."""
    return "".join(each if each.isprintable() or each == "\n" else "\ufffd" for each in text)
