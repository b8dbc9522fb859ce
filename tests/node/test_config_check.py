"""Every mistake of a node.toml at once, where it stands, and what to do about it."""

import json
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from neurogrid_node.__main__ import main
from neurogrid_node.config import ConfigError, load_config
from neurogrid_node.config_check import Mistake, find_mistakes, settings_of
from node.test_config import EXAMPLE, with_line


def line_of(text: str, words: str) -> int:
    return next(
        number for number, line in enumerate(text.splitlines(), 1) if line.startswith(words)
    )


def keys(found: tuple[Mistake, ...]) -> list[str]:
    return [mistake.key for mistake in found]


def test_the_example_has_none() -> None:
    assert find_mistakes(EXAMPLE) == ()


def test_all_of_them_are_named_in_the_order_of_their_lines_with_what_to_do() -> None:
    text = EXAMPLE
    for before, after in (
        ('region = "local"', 'regoin = "eu"'),
        ("fee_percentile = 50", "fee_percentile = 101"),
        ('cpu_core = "0.02"', 'cpu_core = "0,02"'),
        ('gpu = "0.60"', 'gpu = "lots"'),
        ("max_unpaid_s = 300", "max_unpaid_s = 0"),
    ):
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    found = find_mistakes(text)
    assert keys(found) == [
        *("regoin", "chain.fee_percentile", "prices.cpu_core", "prices.gpu", "risk.max_unpaid_s"),
    ]
    assert [each.line for each in found] == [
        line_of(text, words)
        for words in ("regoin", "fee_percentile", "cpu_core", "gpu =", "max_unpaid_s")
    ]
    assert str(found[0]) == "there is no key regoin; do you mean region?"
    assert str(found[1]) == "[chain] fee_percentile: Expected `int` <= 100; left out, it is 50"
    assert "'0,02' is not an amount" in str(found[2])
    assert found[3].fix == 'left out, it is "0.60"'


def test_what_is_missing_is_said_where_it_should_stand() -> None:
    text = re.sub("(?m)^(coordinators|genesis_hash) = .*$", "", EXAMPLE)
    missing, inside = find_mistakes(text)
    assert (missing.key, missing.line) == ("coordinators", 0)
    assert (inside.key, inside.line) == ("chain.genesis_hash", line_of(text, "[chain]"))
    assert str(inside).startswith("[chain] genesis_hash is missing; neurogrid-node init")


def test_one_slip_is_one_mistake() -> None:
    """An address that is no text is not said to be no address, too."""
    assert keys(find_mistakes(with_line("rpc_url", "5", "chain"))) == ["chain.rpc_url"]
    assert keys(find_mistakes(with_line("coordinators", "5"))) == ["coordinators"]
    assert keys(find_mistakes(with_line("coordinators", "[]"))) == ["coordinators"]


def test_an_item_of_a_list_is_counted() -> None:
    (found,) = find_mistakes(with_line("listen", '["/ip4/0.0.0.0/tcp/1", 5]'))
    assert found.message == "listen: Expected `str`, got `int` (item 2)"


def test_what_looks_like_a_key_inside_a_text_is_none() -> None:
    text = EXAMPLE.replace('accept = ""', 'accept = """\n[offer]\npids = 5\n"""')
    text = text.replace("pids = 256", "pids = 5")
    found = find_mistakes(text)
    assert keys(found) == ["offer.pids", "conditions.accept"]
    assert [each.line for each in found] == [line_of(text, "pids = 5"), line_of(text, "accept")]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("region = 'eu'\ncoordinators = [", 2, "Invalid value"),
        ("a = 1\na = 2", 2, "Cannot overwrite a value"),
        ("x" * 70 + "\n" * 20_000, 0, "more than 10000 lines"),
    ],
)
def test_what_is_no_toml_is_said_once(text: str, line: int, words: str) -> None:
    (found,) = find_mistakes(text)
    assert found.line == line
    assert words in found.message


def test_a_section_that_is_a_value_and_dotted_keys() -> None:
    found = find_mistakes("offer = 5\n" + EXAMPLE.replace("[offer]", "[ovver]"))
    assert str(found[0]) == "offer is a section; write [offer] in a line of its own"
    assert str(found[1]) == "there is no key ovver; do you mean offer?"
    dotted = (
        EXAMPLE.replace("[risk]", "")
        .replace("max_unpaid_s = 300", "")
        .replace('stake_usdc = "10.00"', "")
        .replace("max_timeout_s = 86400", "")
    )
    (found_inside,) = find_mistakes(f"risk.max_unpaid_s = 0\n{dotted}")
    assert (found_inside.key, found_inside.line) == ("risk.max_unpaid_s", 1)


# Lines of the example, damaged: whatever is made of it, both say the same of whether it can be used.
DAMAGE = st.lists(
    st.tuples(
        st.integers(0, EXAMPLE.count("\n")),
        st.sampled_from(
            ["", "x = 1", "[offer]", "pids = -1", 'gpu = "1"', "region = 5", "listen = [", "]"]
        ),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(DAMAGE)
def test_it_finds_mistakes_exactly_where_the_daemon_would_not_start(
    damage: list[tuple[int, str]],
) -> None:
    lines = EXAMPLE.splitlines()
    for number, line in damage:
        lines[min(number, len(lines) - 1)] = line
    text = "\n".join(lines)
    with TemporaryDirectory() as folder:
        path = Path(folder, "node.toml")
        path.write_text(text)
        try:
            load_config(path)
            starts = True
        except ConfigError:
            starts = False
    assert (find_mistakes(text) == ()) is starts


def run(*arguments: object) -> tuple[int, str]:
    ran = CliRunner().invoke(main, ["config", *map(str, arguments)])
    return ran.exit_code, ran.output


def test_the_command_names_file_and_line_for_editors(tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    assert run("check", file)[0] == 2
    assert "neurogrid-node init" in run("check", "--data", tmp_path)[1]
    file.write_text(EXAMPLE)
    assert run("check", "--data", tmp_path) == (0, f"{file} can be used\n")
    file.write_text("colour = 1\n" + EXAMPLE)
    code, output = run("check", file)
    assert code == 1
    assert output.startswith(f"{file}:1: there is no key colour; known here: ")
    document = json.loads(run("check", file, "--json")[1])
    assert (document["ok"], document["mistakes"][0]["key"]) == (False, "colour")
    assert run("show", "--data", tmp_path)[0] == 2


def test_what_is_in_force_is_shown_with_where_it_is_set(tmp_path: Path) -> None:
    short = "\n".join(line for line in EXAMPLE.splitlines() if not line.startswith("pids"))
    url = "https://user:pass@rpc.example.org/v2/KEY?api-key=KEY"
    (tmp_path / "node.toml").write_text(short.replace("http://127.0.0.1:8899", url))
    code, output = run("show", "--origin", "--data", tmp_path)
    assert code == 0
    assert 'rpc_url = "https://rpc.example.org/…"' in output
    assert "KEY" not in output
    assert "pass" not in output
    assert "pids = 256  # default" in output
    assert f"max_unpaid_s = 300  # line {line_of(short, 'max_unpaid_s')}" in output
    document = json.loads(run("show", "--json", "--data", tmp_path)[1])
    assert document["offer.pids"] == {"value": 256, "line": None}
    assert "#" not in run("show", "--data", tmp_path)[1]


def test_every_value_of_the_example_is_shown_in_its_line() -> None:
    shown = {setting.key: setting.line for setting in settings_of(EXAMPLE)}
    assert all(shown.values())
    assert len(set(shown.values())) == len(shown)
