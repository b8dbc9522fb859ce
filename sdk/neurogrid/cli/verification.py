"""The options of submit that say how a result is verified."""

import shlex
from collections.abc import Callable
from functools import update_wrapper
from typing import Any, Literal

import click

_OPTIONS = (
    click.option(
        "--verify",
        type=click.Choice(["none", "spot_check", "quorum"]),
        default="none",
        show_default=True,
        help="Have other nodes run it too: all at once, or by chance and afterwards.",
    ),
    click.option(
        "--runs", type=click.IntRange(2, 5), help="Of a quorum: how many nodes; 2 if not said."
    ),
    click.option(
        "--compare",
        metavar="COMPARATOR",
        help="With --verify: what makes two results the same. exact: every byte [default]. "
        "numeric:REL or numeric:REL:ABS: numbers may differ by so much of their size, or by ABS, as "
        "in numeric:1e-6. image:NAME: an image of yours that says which results are the same.",
    ),
    click.option(
        "--compare-command", metavar="COMMAND", help="With image: what it runs, as in a shell."
    ),
    click.option(
        "--compare-timeout",
        type=click.IntRange(1, 3600),
        metavar="SECONDS",
        help="With image: the longest it may take, which is held and paid; 600 if not said.",
    ),
    click.option(
        "--compare-files",
        multiple=True,
        metavar="PATTERN[=FORMAT]",
        help="With numeric: files below /outputs that are compared by their numbers, such as '*.csv' "
        "or '*.bin=f32' (text, json, npy, npz, f32, f64); any other has to be the same. Repeatable.",
    ),
)


_NAMES = ("verify", "runs", "compare", "compare_files", "compare_command", "compare_timeout")


def verification_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options; the command gets ``verification``, as `Tasks.create` takes it."""

    def run(*args: Any, **kwargs: Any) -> None:
        said = {name: kwargs.pop(name) for name in _NAMES}
        function(*args, verification=_verification(**said), **kwargs)

    command = update_wrapper(run, function)
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def _verification(
    *,
    verify: Literal["none", "spot_check", "quorum"],
    runs: int | None,
    compare: str | None,
    compare_files: tuple[str, ...],
    compare_command: str | None,
    compare_timeout: int | None,
) -> dict[str, Any] | None:
    if runs is not None and verify != "quorum":
        raise click.BadParameter("goes with --verify quorum only", param_hint="--runs")
    if verify == "none":
        if compare is not None or compare_files or compare_command or compare_timeout:
            raise click.BadParameter("goes with --verify only", param_hint="--compare")
        return None
    comparator = _comparator(compare or "exact", compare_files, compare_command, compare_timeout)
    return (
        {"mode": verify}
        | ({"runs": runs} if runs is not None else {})
        | ({"comparator": comparator} if comparator is not None else {})
    )


def _comparator(
    text: str, files: tuple[str, ...], command: str | None, timeout: int | None
) -> dict[str, Any] | None:
    kind, _, image = text.partition(":")
    if kind == "image" and image and not files:
        words = {"command": shlex.split(command)} if command else {}
        limit = {"timeout_seconds": timeout} if timeout else {}
        return {"kind": kind, "image": image, **words, **limit}
    if command is not None or timeout is not None:
        raise click.BadParameter("goes with --compare image only", param_hint="--compare-command")
    kind, *limits = text.split(":")
    if kind == "numeric" and 1 <= len(limits) <= 2:
        named = dict(zip(("relative", "absolute"), limits, strict=False))
        rules = {"files": [_rule(each) for each in files]} if files else {}
        return {"kind": kind, **named, **rules}
    if text != "exact":
        raise click.BadParameter(
            f"{text!r} is none of exact, numeric:REL[:ABS] (such as numeric:1e-6) and image:NAME",
            param_hint="--compare",
        )
    if files:
        raise click.BadParameter("goes with --compare numeric only", param_hint="--compare-files")
    return None


def _rule(text: str) -> dict[str, str]:
    """PATTERN[=FORMAT]."""
    pattern, equals, file_format = text.partition("=")
    return {"pattern": pattern, "format": file_format} if equals else {"pattern": pattern}
