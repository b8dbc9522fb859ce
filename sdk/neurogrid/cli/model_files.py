"""``neurogrid models validate | schema | add | pin``: the file of a catalogue. They need no coordinator; ``upload`` does."""

from pathlib import Path

import click

from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.model_server import WeightsInput

from ..catalogue_file import (
    add_entry,
    name_weights,
    pin_images,
    read_catalogue_file,
    weights_of,
)
from ..errors import PinError
from ..model_templates import TEMPLATES, filled
from .output import print_json
from .session import Session, json_option, with_session

_FILE = click.Path(path_type=Path, dir_okay=False)
_TEMPLATE_HELP = "Whose server it is: " + ", ".join(
    f"{name} ({info.about})" for name, info in TEMPLATES.items()
)


@click.command("validate")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@json_option
def validate(file: Path, *, as_json: bool) -> None:
    """Say what is wrong with a catalogue's FILE; needs no coordinator."""
    try:
        _, catalogue = read_catalogue_file(file)
    except InvalidValue as error:
        raise click.ClickException(str(error)) from error
    unpinned = [each.id for each in catalogue.models if "@" not in each.image]
    without = [
        each.id
        for each in catalogue.models
        if each.server is not None and each.server.weights is not None
        if not each.server.weights.files
    ]
    if as_json:
        told = {"models": list(catalogue.ids), "not_pinned": unpinned, "without_weights": without}
        print_json(told)
        return
    count = len(catalogue.models)
    click.echo(f"{file}: {count} {'model' if count == 1 else 'models'}, no mistake")
    if without:
        click.echo(
            f"There are no replicas of {', '.join(without)} until their weights are named: neurogrid models upload",
            err=True,
        )


@click.command("schema")
def schema() -> None:
    """Print the JSON Schema of a catalogue's file, for editors."""
    from neurogrid_marketplace.model_schema import catalogue_schema

    print_json(catalogue_schema())


@click.command("add")
@click.argument("file", type=_FILE)
@click.option("--template", type=click.Choice(list(TEMPLATES)), required=True, help=_TEMPLATE_HELP)
@click.option("--id", "model_id", required=True, help="What clients call it.")
@click.option("--source", required=True, help="Its weights on their hub, as OWNER/NAME.")
@click.option("--name", default="", help="As people call it; the id, if left out.")
@click.option("--image", default="", help="Another image than the template's.")
@click.option(
    "--vram-gb", type=click.FloatRange(0.1, 10_000), help="Memory of the GPU, 10^9 bytes."
)
@click.option("--size-gb", type=click.FloatRange(0.001, 10_000), help="Of the weights, 10^9 bytes.")
@json_option
def add(
    file: Path,
    *,
    template: str,
    model_id: str,
    source: str,
    name: str,
    image: str,
    vram_gb: float | None,
    size_gb: float | None,
    as_json: bool,
) -> None:
    """Add an entry to a catalogue's FILE, from a template.

    It comes at the end; what is there stays as it is, comments too. FILE is made where there is none. Ports, paths and
    arguments are those that the server's makers document; look at needs and prices.
    """
    entry = filled(
        template,
        model_id=model_id,
        source=source,
        name=name,
        image=image,
        vram_gb=vram_gb,
        size_gb=size_gb,
    )
    try:
        catalogue = add_entry(file, entry)
    except (InvalidValue, OSError) as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        print_json({"added": model_id, "models": list(catalogue.ids)})
        return
    click.echo(
        f"{file}: {model_id} is added. Look at its needs and prices, then: neurogrid models pin {file}"
    )


@click.command("pin")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--model", "model_id", help="The image of this one alone.")
@json_option
def pin(file: Path, *, model_id: str | None, as_json: bool) -> None:
    """Replace the tags of images in a catalogue's FILE by the digests that they stand for now.

    Asks the images' registries, from this machine. What a model is does not change then without its operator.
    """
    from ..pinning import pin_image

    try:
        pinned = pin_images(file, pin_image, model_id)
    except (InvalidValue, PinError, OSError) as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        print_json({"pinned": pinned})
        return
    for old, new in pinned.items():
        click.echo(f"{old} is {new}")
    if not pinned:
        click.echo(f"{file}: all images are pinned", err=True)


@click.command("upload")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("model_id", metavar="MODEL")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@with_session
def upload(session: Session, *, file: Path, model_id: str, folder: Path) -> None:
    """Upload the weights of a MODEL's server, all files in FOLDER, and name them in a catalogue's FILE.

    They belong to the account of the key, which has to be the one that pays for replicas. What is there already is not sent
    again, so a second try goes on where the first one ended. Files whose names begin with a dot are left out.
    """
    from ..weights_folder import weights_files

    try:
        _, catalogue = read_catalogue_file(file)
        weights_of(file, catalogue, model_id)
        found = weights_files(folder)
        named = []
        for number, (path, place) in enumerate(found, 1):
            click.echo(f"{number} of {len(found)}: {path}", err=True)
            sent = session.client.artifacts.upload(place)
            named.append(WeightsInput(path, sent.sha256, sent.size))
        name_weights(file, model_id, named)
    except (InvalidValue, OSError) as error:
        raise click.ClickException(str(error)) from error
    size_gb = sum(each.size_bytes for each in named) / 10**9
    if session.as_json:
        print_json({"model": model_id, "files": len(named), "size_gb": size_gb})
        return
    click.echo(f"{file}: {model_id} has {len(named)} files, {size_gb:.3g} GB")
