"""A catalogue's file: what is added and pinned in it, and that all the rest stays."""

import json
import os
import re
import tomllib
from pathlib import Path
from string import Template

import jsonschema_rs
import pytest
from click.testing import CliRunner

import neurogrid.model_templates as templates
from neurogrid.catalogue_file import add_entry, pin_images
from neurogrid.cli.group import neurogrid
from neurogrid.model_templates import TEMPLATES, filled
from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.model_catalogue import parse_catalogue
from neurogrid_marketplace.model_schema import catalogue_schema

_CONFIGS = Path(__file__).parents[2] / "configs"
_PRODUCTION = _CONFIGS / "models-production.toml"


def _run(*arguments: str | Path) -> tuple[int, str]:
    told = CliRunner().invoke(neurogrid, ["models", *map(str, arguments)])
    return told.exit_code, told.output


@pytest.mark.parametrize("name", list(TEMPLATES))
def test_each_template_makes_an_entry_that_is_valid(name: str, tmp_path: Path) -> None:
    file = tmp_path / "models.toml"
    source = TEMPLATES[name].source_example
    assert (
        _run("add", file, "--template", name, "--id", "a/b", "--source", source, "--vram-gb", "7")[
            0
        ]
        == 0
    )
    (model,) = parse_catalogue(file.read_text(), "f").models
    assert model.server is not None
    assert model.server.weights is not None
    assert (model.id, model.name, model.tasks, model.needs.vram_gb) == ("a/b", "a/b", False, 7)
    assert model.server.weights.source == f"hf:{source}"
    # It listens where its command says that it does.
    ports = [
        after
        for option, after in zip(model.server.command, model.server.command[1:], strict=False)
        if option == "--port"
    ]
    assert ports in ([], [str(model.server.port)])
    assert not ports or "0.0.0.0" in model.server.command


def test_an_entry_comes_at_the_end_and_nothing_else_changes(tmp_path: Path) -> None:
    link, file = tmp_path / "models.toml", tmp_path / "real.toml"
    mine = "# Mine.\n" + filled("vllm", model_id="one", source="a/one").rstrip()
    file.write_text(mine)
    file.chmod(0o640)
    link.symlink_to(file)
    code, said = _run(
        "add",
        link,
        "--template",
        "tgi",
        "--id",
        "two",
        "--source",
        "a/two",
        "--name",
        'A "two" \\ $',
    )
    assert (code, "two is added" in said) == (0, True)
    assert link.is_symlink()
    assert file.stat().st_mode & 0o777 == 0o640
    text = file.read_text()
    assert text.startswith(mine)
    assert [each.name for each in parse_catalogue(text, "f").models] == ["one", 'A "two" \\ $']
    for model_id, words in (("two", "also a name of two"), ("no name", "id: is a name such as")):
        code, said = _run("add", link, "--template", "vllm", "--id", model_id, "--source", "a/b")
        assert code == 1
        assert words in said
    assert file.read_text() == text
    assert sorted(os.listdir(tmp_path)) == ["models.toml", "real.toml"], (
        "nothing is left lying about"
    )
    file.write_text("model = [")
    with pytest.raises(InvalidValue, match="not TOML"):
        add_entry(file, mine)
    assert file.read_text() == "model = ["


def test_tags_become_digests_and_comments_stay(tmp_path: Path) -> None:
    file = tmp_path / "models.toml"
    text = _PRODUCTION.read_text()
    file.write_text(text)

    def pin(image: str) -> str:
        return image if "@" in image else f"{image.rpartition(':')[0]}@sha256:{'0' * 64}"

    assert list(pin_images(file, pin, "qwen-image")) == ["lmsysorg/sglang:latest"]
    # Two have that image: it is the same in both.
    pinned = parse_catalogue(file.read_text(), "f")
    assert ["@" in each.image for each in pinned.models].count(True) == 2
    pin_images(file, pin)
    after = file.read_text()
    assert re.sub(r"(:[\w.-]+|@sha256:0+)\"", '"', after) == re.sub(r":[\w.-]+\"", '"', text)
    assert all("@" in each.image for each in parse_catalogue(after, "f").models)
    assert pin_images(file, pin) == {}
    with pytest.raises(InvalidValue, match="no model has the id nobody"):
        pin_images(file, pin, "nobody")
    # What is not a line of its own is not changed by guessing.
    entry = filled("vllm", model_id="one", source="a/one").replace("image = ", "'image' = ")
    file.write_text(entry)
    with pytest.raises(InvalidValue, match="a line of its own"):
        pin_images(file, pin)
    assert file.read_text() == entry


@pytest.mark.parametrize("name", ["models.toml", "models-production.toml", "models-gemma.toml"])
def test_the_shipped_files_are_valid_by_reader_and_schema(name: str) -> None:
    file = _CONFIGS / name
    assert _run("validate", file)[0] == 0
    schema = jsonschema_rs.validator_for(catalogue_schema())
    schema.validate(tomllib.loads(file.read_text()))
    for wrong in ('{"models": []}', '{"model": [{"id": "a b"}]}', '{"model": [{}]}'):
        assert not schema.is_valid(json.loads(wrong))
    code, said = _run("schema")
    assert (code, '"$defs"' in said) == (0, True)


def test_the_production_file_has_an_entry_of_each_template() -> None:
    models = parse_catalogue(_PRODUCTION.read_text(), "f").models
    assert {each.image for each in models} == {info.image for info in TEMPLATES.values()}
    assert all(each.licence and each.description for each in models)
    folder = Path(templates.__file__).parent
    assert {path.stem for path in folder.glob("*.toml")} == set(TEMPLATES)
    assert all(Template(path.read_text()).is_valid() for path in folder.glob("*.toml"))
