"""`neurogrid-node images`: what the node has fetched, what stays of it, and what goes."""

import json
import sqlite3
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from . import options
from .exits import fail

if TYPE_CHECKING:
    from ..container.image_desk import ImageDesk
    from ..container.image_eviction import KeptImage
    from ..container.pull import PullProgress

T = TypeVar("T")


@click.group()
def images() -> None:
    """Images that the node has fetched for jobs.

    What a job uses, what you have pinned and what the node has not fetched itself is never removed.
    """


@images.command("list")
@options.directory
@options.json_output
def list_(directory: Path, as_json: bool) -> None:
    """Those that are here, the last used first, and how much of them is kept."""
    from ..container.image_eviction import kept_bytes

    limit_bytes = 0

    async def look(desk: "ImageDesk") -> "list[KeptImage]":
        nonlocal limit_bytes
        limit_bytes = desk.limit_bytes
        return await desk.known()

    found = _at_desk(directory, look)
    kept = kept_bytes(found)
    if as_json:
        rows = [_row(each) for each in found]
        click.echo(
            json.dumps({"images": rows, "kept_bytes": kept, "limit_bytes": limit_bytes}, indent=2)
        )
        return
    for each in found:
        used = time.strftime("%Y-%m-%d %H:%M", time.localtime(each.used_at_ms / 1000))
        click.echo(f"{_gb(each.size_bytes):>9}  {used}  {each.name}{_words(each)}")
    click.echo(f"{_gb(kept):>9}  kept of at most {_gb(limit_bytes)} that nobody uses")


@images.command()
@click.argument("name")
@options.directory
@options.json_output
def pin(name: str, directory: Path, as_json: bool) -> None:
    """Keep an image that is here, whatever space it takes."""
    full = _at_desk(directory, lambda desk: desk.pin(name))
    _say({"pinned": full}, f"{full} stays.", as_json)


@images.command()
@click.argument("name")
@options.directory
@options.json_output
def unpin(name: str, directory: Path, as_json: bool) -> None:
    """Let an image go when its turn comes. Exit code 1 if it was not pinned."""
    was_pinned = _at_desk(directory, lambda desk: desk.unpin(name))
    words = f"{name} may go when its turn comes." if was_pinned else f"{name} was not pinned."
    _say({"unpinned": was_pinned}, words, as_json)
    if not was_pinned:
        raise click.exceptions.Exit(1)


@images.command()
@click.argument("name")
@click.option("--pin", "pinned", is_flag=True, help="And keep it.")
@options.directory
@options.json_output
def pull(name: str, pinned: bool, directory: Path, as_json: bool) -> None:
    """Fetch an image before a job asks for it. One that takes credentials: docker pull."""
    last = ""

    def report(progress: "PullProgress") -> None:
        nonlocal last
        words = str(progress)
        if words != last and not as_json:
            click.echo(f"\r{words:<40}", nl=False, err=True)
        last = words

    image = _at_desk(directory, lambda desk: desk.pull(name, report, pinned=pinned))
    if last and not as_json:
        click.echo(err=True)
    _say(
        {"image_id": image.image_id, "digest": image.digest, "size_bytes": image.size_bytes},
        f"{name} is here: {_gb(image.size_bytes)}, {image.digest or image.image_id}",
        as_json,
    )


@images.command()
@click.option("--all", "everything", is_flag=True, help="All that nobody needs.")
@options.directory
@options.json_output
def prune(everything: bool, directory: Path, as_json: bool) -> None:
    """Remove now what the running node would remove within a minute; those unused longest go first."""
    gone = _at_desk(directory, lambda desk: desk.prune(everything=everything))
    freed = sum({each.image_id: each.size_bytes for each in gone}.values())
    lines = [f"removed {each.name}" for each in gone]
    lines.append(f"{_gb(freed)} of images removed")
    document = {"removed": [each.name for each in gone], "size_bytes": freed}
    _say(document, "\n".join(lines), as_json)


def _at_desk(directory: Path, use: "Callable[[ImageDesk], Awaitable[T]]") -> T:
    import outcome
    import trio

    from ..config import ConfigError
    from ..container.errors import EngineError
    from ..container.image_desk import image_desk

    async def run() -> "outcome.Outcome[T]":
        async with image_desk(directory) as desk:
            # Captured, because a nursery would hand it on in a group.
            return await outcome.acapture(use, desk)
        raise AssertionError("a desk hides no error")

    try:
        return trio.run(run).unwrap()
    except (ConfigError, EngineError, OSError, sqlite3.Error) as error:
        fail(str(error))


def _row(image: "KeptImage") -> dict[str, Any]:
    return {
        "name": image.name,
        "image_id": image.image_id,
        "size_bytes": image.size_bytes,
        "fetched_by_node": image.brought,
        "pinned": image.pinned,
        "private": image.private,
        "used_at_ms": image.used_at_ms,
        "leases": list(image.holders),
    }


def _words(image: "KeptImage") -> str:
    said = [
        *(["pinned"] if image.pinned else []),
        *(["not fetched by the node"] if not image.brought else []),
        *([f"used by {len(image.holders)}"] if image.holders else []),
    ]
    return f"  ({', '.join(said)})" if said else ""


def _say(document: dict[str, Any], words: str, as_json: bool) -> None:
    click.echo(json.dumps(document) if as_json else words)


def _gb(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.2f} GB"
