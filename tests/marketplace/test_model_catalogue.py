"""The catalogue of models: what it says of a mistake, and the one that is shipped."""

from pathlib import Path

import pytest

from neurogrid_coordinator.models_config import ModelsConfig, read_catalogue
from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.model_catalogue import parse_catalogue

_ENTRY = """[[model]]
id = "one"
name = "One"
type = "text"
category = "generation"
image = "neurogrid/one:1"
needs = { memory_gb = 1 }
price = { max_usdc_per_hour = "1" }
"""


def test_the_shipped_catalogue_is_read_where_the_operator_names_none(tmp_path: Path) -> None:
    shipped = ModelsConfig().settings(tmp_path).catalogue
    assert "bard-1m" in shipped.ids
    # No name of somebody else's model stands for one of ours, unless an operator says so.
    assert not any(model.aliases for model in shipped.models)
    (tmp_path / "mine.toml").write_text(_ENTRY)
    assert read_catalogue("mine.toml", tmp_path).ids == ("one",)
    with pytest.raises(InvalidValue, match=r"nowhere\.toml"):
        read_catalogue("nowhere.toml", tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("model = [", "f.toml: not TOML"),
        ("models = []", "f.toml: Object contains unknown field `models`"),
        (_ENTRY + _ENTRY, "f.toml: model[1]: one: one is also a name of one"),
        (
            _ENTRY + 'aliases = ["two"]\n'.join(["", _ENTRY.replace('"one"', '"two"')]),
            "f.toml: model[1]: two: two is also a name of one",
        ),
        (_ENTRY.replace("text", "smell"), "f.toml: model[0] (one): Invalid enum value 'smell'"),
        (_ENTRY.replace("memory_gb = 1", "memory_gb = 0"), "at `$.needs.memory_gb`"),
        (_ENTRY.replace('"1"', '"-1"'), "at `$.price.max_usdc_per_hour`"),
        (_ENTRY + "colour = 1", "f.toml: model[0] (one): Object contains unknown field `colour`"),
        (_ENTRY.replace('image = "neurogrid/one:1"', ""), "missing required field `image`"),
        ("model = [3]", "f.toml: model[0]: Expected `object`"),
    ],
)
def test_a_mistake_is_told_with_file_entry_and_field(text: str, words: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        parse_catalogue(text, "f.toml")
    assert words in str(caught.value)
