"""node.toml as text: what is changed, and what is left as it was."""

import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurogrid_node.config import ConfigError
from neurogrid_node.config_text import Value, differing, read_assignment, with_values
from neurogrid_node.setup import example_text

EDITED = """# mine
region = "attic"   # not the cellar

[prices]
gpu = "0.70" # since May
"""


def test_only_what_was_said_is_changed() -> None:
    changed = with_values(
        EDITED, {"prices.gpu": "0.80", "silence_s": 60, "peers.allow": ("a", "b")}
    )
    assert changed.startswith('# mine\nregion = "attic"   # not the cellar\n')
    assert 'gpu = "0.80" # since May' in changed
    assert tomllib.loads(changed) == {
        "region": "attic",
        "silence_s": 60,
        "prices": {"gpu": "0.80"},
        "peers": {"allow": ["a", "b"]},
    }


@settings(max_examples=25)
@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=50),
    st.booleans(),
    st.integers(0, 2**40),
)
def test_every_value_comes_back_as_it_was(text: str, truth: bool, number: int) -> None:
    values: dict[str, Value] = {
        "region": text,
        "spot.take": truth,
        "offer.cpu_cores": number,
        "images.allow": [text],
    }
    changed = with_values(example_text(), values)
    assert differing(changed, values) == []
    # Each comment is still there, in its place.
    comments = [line for line in example_text().splitlines() if line.startswith("#")]
    assert [line for line in changed.splitlines() if line.startswith("#")][
        : len(comments)
    ] == comments


def test_what_differs_is_named_with_what_the_file_says() -> None:
    wanted: dict[str, Value] = {
        "region": "cellar",
        "prices.gpu": "0.70",
        "prices.base": "1",
        "spot.take": True,
    }
    assert differing(EDITED, wanted) == [
        'region = "attic"',
        "prices.base = unset",
        "spot.take = unset",
    ]


def test_an_assignment_has_the_type_of_the_key() -> None:
    example = example_text()
    assert read_assignment(example, "prices.gpu=0.80") == ("prices.gpu", "0.80")
    assert read_assignment(example, "region=eu=1") == ("region", "eu=1")
    assert read_assignment(example, "offer.gpus=false") == ("offer.gpus", False)
    assert read_assignment(example, 'images.allow=["a/"]') == ("images.allow", ["a/"])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("prices.gpu", "give KEY=VALUE"),
        ("prices.gpus=1", "a key of node.toml"),
        ("prices=1", "a key of node.toml"),
        ("offer.gpus=1", "no value like true"),
        ("offer.cpu_cores=many", "no value like 0"),
        ("images.allow=x", r"no value like \[\]"),
    ],
)
def test_a_wrong_assignment_says_what_is_wanted(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        read_assignment(example_text(), text)


def test_what_is_no_toml_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"node\.toml"):
        with_values("region =", {})
