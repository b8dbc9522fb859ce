"""A devnet whose coordinator is told something else of models, for as long as a test needs that."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from acceptance.network import Devnet


def shipped_catalogue() -> str:
    """What the coordinator has where nothing else is said."""
    return resources.files("neurogrid_coordinator").joinpath("models.toml").read_text("utf-8")


def client_account(devnet: Devnet) -> str:
    """The id of the devnet's client's, for ``account`` below: it pays for replicas, too."""
    account: str = devnet.http.get("/account").json()["data"]["id"]
    return account


def tell_of_models(devnet: Devnet, catalogue: str = "", **settings: str | float) -> None:
    """The coordinator starts anew with these of ``[models]``.

    Args:
        catalogue: another one, whole.
        settings: as the file has them.
    """
    config = _config(devnet)
    if catalogue:
        file = devnet.data / "models.toml"
        file.write_text(catalogue)
        settings["catalogue"] = str(file)
    wanted = {
        name: f'"{value}"' if isinstance(value, str) else str(value)
        for name, value in settings.items()
    }
    lines = config.read_text().splitlines()
    for number in range(lines.index("[models]"), lines.index("[dialects]")):
        name = lines[number].partition(" = ")[0]
        if name in wanted:
            lines[number] = f"{name} = {wanted.pop(name)}"
    assert not wanted, f"[models] has no {', '.join(wanted)}"
    config.write_text("\n".join(lines) + "\n")
    _restart(devnet)


@contextmanager
def told_of_models(devnet: Devnet, catalogue: str = "", **settings: str | float) -> Iterator[None]:
    """The same for the length of the block: in the end it starts once more, with what it had.

    Without that no test would find what it expects behind this one: what is in the file counts from the next start on, and
    somebody kills the coordinator sooner or later.
    """
    config = _config(devnet)
    before = config.read_text()
    try:
        tell_of_models(devnet, catalogue, **settings)
        yield
    finally:
        config.write_text(before)
        _restart(devnet)


def _config(devnet: Devnet) -> Path:
    return devnet.data / "coordinator" / "coordinator.toml"


def _restart(devnet: Devnet) -> None:
    devnet.restart_coordinator()
    devnet.until_all_here()
