"""What a terminal would show, as an SVG file that fetches nothing. Pure."""

import io
import re
from typing import Final

from rich.console import Console, RenderableType

# rich has its fonts fetched from a server; whoever looks has a monospaced one.
_FONT: Final = re.compile(r"@font-face\s*\{.*?\}\s*", re.DOTALL)


def as_svg(picture: RenderableType, width: int, title: str) -> str:
    """A picture so many characters wide, in a window with this title."""
    console = Console(
        width=width, record=True, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    console.print(picture)
    return _FONT.sub("", console.export_svg(title=title))
