"""A devnet's directory: what it accepts, what it keeps, which ports it takes."""

import socket
from pathlib import Path

import pytest

from neurogrid_devnet.errors import (
    AlreadyRuns,
    DirectoryUnusable,
    PortTaken,
    TermsFixed,
    TermsInvalid,
)
from neurogrid_devnet.layout import HOST, Layout, Settings, check_port, parse_node, replace_json
from neurogrid_devnet.terms import Terms

SETTINGS = Settings(nodes=3, ledger_port=20_000, p2p_port=20_002, api_port=20_003)


def test_a_new_directory_is_made_and_only_its_owner_may_enter(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "deep" / "net")
    layout.make_folders()
    assert layout.root.stat().st_mode & 0o777 == 0o700
    assert layout.keys.is_dir()
    assert layout.logs.is_dir()


def test_a_directory_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(DirectoryUnusable, match=r"thesis\.tex.*--data"):
        Layout(tmp_path).make_folders()


def test_a_directory_of_an_interrupted_start_is_taken(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.make_folders()
    with layout.locked():
        pass
    layout.make_folders()


def test_a_path_that_cannot_be_a_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DirectoryUnusable):
        Layout(tmp_path / "file").make_folders()


def test_settings_are_read_back(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    assert layout.read_settings() is None
    layout.write_settings(SETTINGS)
    assert layout.read_settings() == SETTINGS


def test_the_markets_terms_are_decided_once(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.make_folders()
    asked = {"unbonding_window_s": 7200, "min_stake_micro_usdc": 1}
    made = layout.decide_settings(nodes=1, api_port=0, terms=asked)
    assert made.terms == Terms(unbonding_window_s=7200, min_stake_micro_usdc=1)
    # Nothing asked for, or the same again: it stays as it was.
    for again in ({}, asked):
        assert layout.decide_settings(nodes=1, api_port=0, terms=again).terms == made.terms
    with pytest.raises(TermsFixed, match="unbonding_window_s 7200"):
        layout.decide_settings(nodes=1, api_port=0, terms={"unbonding_window_s": 7201})


def test_what_is_not_asked_for_stays_as_it_was(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.make_folders()
    made = layout.decide_settings(nodes=3, api_port=0, dead_after_s=60)
    assert layout.decide_settings(nodes=None, api_port=None) == made
    other = layout.decide_settings(nodes=2, api_port=None, dead_after_s=20)
    assert (other.nodes, other.dead_after_s, other.api_port) == (2, 20, made.api_port)


@pytest.mark.parametrize(
    "asked",
    [
        {"unbonding_window_s": 20},
        {"grace_window_s": 0},
        {"arbitration_window_s": 366 * 86_400},
    ],
)
def test_a_market_that_can_not_be_is_refused_before_anything_starts(
    tmp_path: Path, asked: dict[str, int]
) -> None:
    layout = Layout(tmp_path)
    with pytest.raises(TermsInvalid):
        layout.decide_settings(nodes=1, api_port=0, terms=asked)
    assert not layout.settings_file.exists()


@pytest.mark.parametrize("text", ["", "[]", '{"nodes": 1}', "{", '{"stranger": 1}'])
def test_damaged_settings_are_named(tmp_path: Path, text: str) -> None:
    layout = Layout(tmp_path)
    layout.settings_file.write_text(text)
    with pytest.raises(DirectoryUnusable, match=r"devnet\.json"):
        layout.read_settings()


def test_settings_of_another_version_are_refused(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.write_settings(Settings(1, 2, 4, 5, version=99))
    with pytest.raises(DirectoryUnusable, match="another version"):
        layout.read_settings()


def test_only_one_supervisor_holds_a_directory(tmp_path: Path) -> None:
    layout, other = Layout(tmp_path), Layout(tmp_path)
    assert not other.is_locked()
    with layout.locked():
        assert other.is_locked()
        with pytest.raises(AlreadyRuns, match=f"devnet down --data {tmp_path}"), other.locked():
            pass
    assert not other.is_locked()


def test_all_ports_of_new_settings_differ_and_are_below_the_ephemeral_ones() -> None:
    settings = Settings.make(2, 0, Terms())
    ports = settings.ports()
    assert len(set(ports)) == 4
    assert max(ports) < 32_768
    for port in ports:
        check_port(port)


def test_a_port_that_is_in_use_is_named() -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen(1)
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match=f"port {port} is in use"):
            Settings.make(1, port, Terms())


@pytest.mark.parametrize(
    ("text", "number"),
    [("node-2", 2), ("2", 2), ("node-4", None), ("0", None), ("ledger", None), ("node-", None)],
)
def test_a_node_is_called_by_its_name_or_number(text: str, number: int | None) -> None:
    assert parse_node(text, SETTINGS) == number


def test_a_json_file_is_only_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "secret.json"
    replace_json(path, {"api_key": "ng_x"})
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]
