"""``neurogrid constraints``: the language of ``--where``."""

from typing import Any

import click

from neurogrid_marketplace.attributes import NODE, TASK, Attribute, Vocabulary

from .output import print_json, print_table
from .session import json_option

_HELP = """
A condition is a name, a comparison and a value; `and` binds tighter than `or`, parentheses nest:

  gpu.model ~ "RTX 4090" and gpu.memory >= 24GB and (region = eu-west or region = eu-north)

`~` is "occurs in", in any case; sets take `has` and `lacks`; lists are `in (a, b)` and `not in (a, b)`.
24GB is 10^9, 24GiB is 2^30. What is not known of a node meets nothing, not even `!=`."""


@click.command()
@click.option(
    "--of",
    type=click.Choice(["nodes", "tasks"]),
    default="nodes",
    show_default=True,
    help="Yours on nodes, or a node's owner's on tasks ([conditions] in node.toml).",
)
@json_option
def constraints(*, of: str, as_json: bool) -> None:
    """Show what conditions may name: types, units and meanings. Asks nobody."""
    vocabulary: Vocabulary[Any] = NODE if of == "nodes" else TASK
    if as_json:
        print_json([_data(each) for each in vocabulary])
        return
    print_table(
        ("NAME", "EXAMPLE", "COMPARISONS", "UNITS", "MEANING"),
        (
            (
                each.name,
                each.example,
                " ".join(each.kind.sorted_operators),
                each.kind.units_sentence().replace(", ", " ") or "-",
                each.meaning,
            )
            for each in vocabulary
        ),
    )
    click.echo(_HELP)


def _data(attribute: Attribute[Any]) -> dict[str, Any]:
    kind = attribute.kind
    return {
        "name": attribute.name,
        "about": attribute.subject.value,
        "type": kind.name,
        "operators": list(kind.sorted_operators),
        "units": [unit for unit in kind.units if unit],
        "base_unit": kind.base_unit,
        "example": attribute.example,
        "meaning": attribute.meaning,
    }
