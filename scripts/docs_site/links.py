"""Links that lead out of docs/: on GitHub to files, on the site to pages, or to nothing but the file's name."""

import posixpath
import re

# Files of the root that are pages of the site, too.
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
_LINK = re.compile(r"\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)")


def for_the_site(markdown: str, page: str, folder: str = "docs") -> str:
    """A page's text with its links as the site needs them.

    Args:
        page: its place on the site, such as ``adr/0001.md``.
        folder: of the repository, that its links are relative to: ``docs`` or "" for the root.
    """
    base = posixpath.join(folder, posixpath.dirname(page)) if folder else ""

    def replaced(match: re.Match[str]) -> str:
        text, target = match.groups()
        if re.match(r"[a-z]+:|#", target):
            return match[0]
        path, _, anchor = target.partition("#")
        place = posixpath.normpath(posixpath.join(base, path))
        if place in PAGES:
            found = PAGES[place]
        elif place.startswith("docs/") and "." in posixpath.basename(place):
            found = place.removeprefix("docs/")
        elif place == "docs/adr":
            found = "adr/index.md"
        else:
            return text if place in text.replace("`", "") else f"{text} (`{place}`)"
        there = posixpath.relpath(found, posixpath.dirname(page) or ".")
        return f"[{text}]({there}{'#' + anchor if anchor else ''})"

    return _LINK.sub(replaced, markdown)
