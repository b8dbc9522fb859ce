"""Profiles: what `neurogrid configure` writes, and who uses it."""

import json
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from coordinator.served import ServedWorld
from neurogrid.cli.group import neurogrid
from neurogrid.errors import ConfigurationError
from neurogrid.profile import Profile, find_profile
from neurogrid.profiles_file import NamedProfile, ProfilesFile, read_profiles, write_profiles

ONE = NamedProfile("https://one", "ng_one")
TWO = NamedProfile("https://two", "ng_two")


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    return {"XDG_CONFIG_HOME": str(tmp_path / "config")}


def file_of(home: dict[str, str]) -> Path:
    return Path(home["XDG_CONFIG_HOME"]) / "neurogrid/config.toml"


def put(home: dict[str, str]) -> None:
    profiles = ProfilesFile().with_profile("default", ONE).with_profile("work", TWO)
    write_profiles(file_of(home), profiles)


def run(home: dict[str, str], *arguments: str, typed: str = "") -> Result:
    return CliRunner().invoke(neurogrid, arguments, env=home, input=typed)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(
    st.dictionaries(
        st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True),
        st.tuples(texts, texts, texts),
        max_size=4,
    )
)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, tables: dict[str, tuple[str, str, str]]
) -> None:
    path = tmp_path_factory.mktemp("profiles") / "config.toml"
    file = ProfilesFile()
    for name, values in tables.items():
        file = file.with_profile(name, NamedProfile(*values))
    write_profiles(path, file)
    assert read_profiles(path) == file


def test_only_its_owner_may_read_the_file(home: dict[str, str]) -> None:
    put(home)
    assert stat.S_IMODE(file_of(home).stat().st_mode) == 0o600


def test_a_profile_is_used_where_nothing_else_is_named(home: dict[str, str]) -> None:
    put(home)
    assert find_profile(environment=home) == Profile("https://one", "ng_one")
    assert find_profile(environment={**home, "NEUROGRID_PROFILE": "work"}) == Profile(
        "https://two", "ng_two"
    )
    variables = {"NEUROGRID_API_URL": "https://other", "NEUROGRID_API_KEY": "ng_other"}
    assert find_profile(environment={**home, **variables}) == Profile("https://other", "ng_other")
    assert find_profile(profile="work", environment={**home, **variables}) == Profile(
        "https://two", "ng_two"
    )


def test_a_profiles_key_goes_to_no_other_address(home: dict[str, str]) -> None:
    put(home)
    with pytest.raises(ConfigurationError, match="no API key"):
        find_profile(base_url="https://other", environment=home)
    with pytest.raises(ConfigurationError, match="no API key"):
        find_profile(base_url="https://other", profile="work", environment=home)
    found = find_profile(base_url="https://two/api/v1", profile="work", environment=home)
    assert found == Profile("https://two", "ng_two")


def test_a_file_that_is_none_says_what_to_do(home: dict[str, str]) -> None:
    path = file_of(home)
    path.parent.mkdir(parents=True)
    for content in ("current = [", 'current = "a"\nprofiles = 3\n', "[profiles.a]\napi_url = 1\n"):
        path.write_text(content)
        with pytest.raises(ConfigurationError, match="mend it, or remove it"):
            find_profile(environment=home)


def test_configure_tries_the_key_and_keeps_it(api: ServedWorld, home: dict[str, str]) -> None:
    alice = api.run(lambda world: world.customer("alice"))
    done = run(home, "configure", f"--api-key={alice.key}", "--api-url", api.address)
    assert (done.exit_code, done.stdout) == (0, "")
    assert alice.key not in done.output
    listed = run(home, "list", "--json")
    assert json.loads(listed.stdout)["total"] == 0
    shown = run(home, "configure", "show")
    assert api.address in shown.stdout
    assert alice.key not in shown.stdout
    assert "profile default" in shown.stdout


def test_a_key_that_opens_nothing_is_not_kept(api: ServedWorld, home: dict[str, str]) -> None:
    refused = run(home, "configure", "--api-key=ng_" + "x" * 43, "--api-url", api.address)
    assert refused.exit_code == 3
    assert not file_of(home).exists()


def test_a_key_may_come_by_standard_input(home: dict[str, str]) -> None:
    options = ("--api-url", "https://one", "--no-check", "--profile", "a")
    done = run(home, "configure", *options, "--api-key-file", "-", typed="ng_one\n")
    assert done.exit_code == 0
    assert read_profiles(file_of(home)).named("a") == ONE


def test_who_is_at_no_terminal_is_told_the_option(home: dict[str, str]) -> None:
    refused = run(home, "configure", "--no-check")
    assert refused.exit_code == 2
    assert "--api-url" in refused.output


def test_profiles_are_listed_chosen_and_forgotten(home: dict[str, str]) -> None:
    put(home)
    assert run(home, "configure", "use", "work").exit_code == 0
    listed = json.loads(run(home, "configure", "list", "--json").stdout)
    assert listed["current"] == "work"
    assert listed["profiles"]["work"]["api_key"] == "ng_two…"
    assert run(home, "configure", "delete", "work").exit_code == 0
    assert list(read_profiles(file_of(home)).profiles) == ["default"]
    gone = run(home, "configure", "use", "work")
    assert gone.exit_code == 3
    assert "there are: default" in gone.output
