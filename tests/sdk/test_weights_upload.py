"""`neurogrid models upload`: a folder's files become artifacts, and the catalogue's file names them, and nothing else of it changes."""

import hashlib
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from coordinator.served import ServedWorld
from neurogrid import Client
from neurogrid.catalogue_file import name_weights
from neurogrid.cli.group import neurogrid
from neurogrid.model_templates import filled
from neurogrid.weights_folder import weights_files
from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.model_catalogue import parse_catalogue
from neurogrid_marketplace.model_server import WeightsInput


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """As a hub's cache has it."""
    made = tmp_path / "weights"
    snapshot = made / "models--a--one" / "snapshots" / "ffff"
    blobs = made / "models--a--one" / "blobs"
    for place in (snapshot, blobs, made / ".locks", made / "models--a--one" / "refs"):
        place.mkdir(parents=True)
    (blobs / "1234").write_bytes(b"numbers")
    (snapshot / "model.safetensors").symlink_to(blobs / "1234")
    (made / "models--a--one" / "refs" / "main").write_text("ffff")
    (made / ".locks" / "x").touch()
    return made


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    file = tmp_path / "models.toml"
    entries = [filled("vllm", model_id=each, source=f"a/{each}") for each in ("one", "two")]
    file.write_text("# Mine.\n" + "\n".join(entries))
    return file


def run(api: ServedWorld, key: str, *arguments: object) -> Result:
    environment = {"NEUROGRID_API_URL": api.address, "NEUROGRID_API_KEY": key}
    return CliRunner().invoke(neurogrid, ["models", *map(str, arguments)], env=environment)


def test_a_folder_is_uploaded_named_and_named_anew(
    api: ServedWorld, catalogue: Path, folder: Path
) -> None:
    before = catalogue.read_text()
    alice = api.run(lambda world: world.customer("alice"))
    assert "one, two until their weights are named" in run(api, "", "validate", catalogue).output
    for times in (1, 2):
        done = run(api, alice.key, "upload", catalogue, "two", folder, "--json")
        assert (done.exit_code, json.loads(done.stdout)["files"]) == (0, 2), done.output
        first, second = parse_catalogue(catalogue.read_text(), "f").models
        assert first.server is not None
        assert first.server.weights is not None
        assert first.server.weights.files == ()
        assert second.server is not None
        assert second.server.weights is not None
        sha256 = hashlib.sha256(b"numbers").hexdigest()
        assert second.server.weights.files == (
            WeightsInput("models--a--one/refs/main", hashlib.sha256(b"ffff").hexdigest(), 4),
            WeightsInput("models--a--one/snapshots/ffff/model.safetensors", sha256, 7),
        ), times
    with Client(alice.key, api.address) as client:
        assert "1 of 2" in done.stderr
        assert client.artifacts.upload(folder / "models--a--one/blobs/1234").sha256 == sha256
    # All else is as it was.
    lines = catalogue.read_text().split("\n")
    begin, end = lines.index("files = ["), lines.index("]", lines.index("files = ["))
    assert "\n".join([*lines[:begin], *lines[end + 1 :]]) == before
    told = run(api, "", "validate", catalogue, "--json")
    assert json.loads(told.stdout)["without_weights"] == ["one"]


def test_what_can_not_be_is_said_before_anything_is_sent(
    api: ServedWorld, catalogue: Path, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for model_id, place, said in (
        ("three", empty, "no model has the id three; there are one, two"),
        ("two", empty, "no files"),
    ):
        told = run(api, "ng_none", "upload", catalogue, model_id, place)
        assert (told.exit_code, said in told.output) == (1, True), told.output
    for number in range(251):
        (empty / str(number)).touch()
    with pytest.raises(InvalidValue, match="251 files"):
        weights_files(empty)


def test_a_form_that_would_have_to_be_guessed_at_is_left_alone(catalogue: Path) -> None:
    text = catalogue.read_text()
    catalogue.write_text(text.replace("[model.server.weights]\n", "weights.needs_token = true\n"))
    dotted = catalogue.read_text()
    with pytest.raises(InvalidValue):
        name_weights(catalogue, "two", [WeightsInput("a", "0" * 64, 1)])
    assert catalogue.read_text() == dotted
    catalogue.write_text(text)
    for wrong in ([WeightsInput("a", "0" * 64, 1)] * 2, [WeightsInput("../a", "0" * 64, 1)]):
        with pytest.raises(InvalidValue, match="two: "):
            name_weights(catalogue, "two", wrong)
    assert catalogue.read_text() == text
