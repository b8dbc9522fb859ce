"""A command refuses the wrong cluster, and asks before it spends real money."""

import pytest
from click.testing import CliRunner

from neurogrid_contracts.cli.cluster import Cluster, confirm_spending, identify
from neurogrid_contracts.cli.errors import CommandError
from neurogrid_contracts.cli.exit_codes import CLUSTER, USAGE

DEVNET = "EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxPkrZBG"
MAINNET = "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d"
OURS = "27pp9JwcZoebti4Nq6fUZizK3EDCVGsFSNWAqULoXFk5"
PROVIDER = "https://rpc.example/key"


def test_a_named_cluster_must_be_that_cluster() -> None:
    assert identify("devnet", "api.devnet.solana.com", DEVNET, None).is_pinned
    for answering in (MAINNET, OURS):
        with pytest.raises(CommandError, match="--url devnet was asked for") as refused:
            identify("devnet", "api.devnet.solana.com", answering, None)
        assert refused.value.exit_code == CLUSTER


def test_a_public_cluster_behind_localhost_is_not_local() -> None:
    with pytest.raises(CommandError, match="mainnet-beta answers at localhost"):
        identify("localhost", "127.0.0.1", MAINNET, None)
    assert not identify("http://127.0.0.1:9000", "127.0.0.1", MAINNET, None).is_local
    assert identify("localhost", "127.0.0.1", OURS, None).is_local


def test_a_strange_cluster_elsewhere_is_not_local() -> None:
    cluster = identify(PROVIDER, "rpc.example", OURS, None)
    assert (cluster.is_local, cluster.is_pinned) == (False, False)
    assert identify(PROVIDER, "rpc.example", DEVNET, None).name == "devnet"


def test_a_given_genesis_hash_must_match() -> None:
    assert identify(PROVIDER, "rpc.example", OURS, OURS).is_pinned
    with pytest.raises(CommandError, match="devnet was asked for, and mainnet-beta answers"):
        identify(PROVIDER, "rpc.example", MAINNET, DEVNET)


LOCAL = Cluster("localnet", OURS, is_local=True, is_pinned=False)
NAMED = Cluster("devnet", DEVNET, is_local=False, is_pinned=True)
FOUND = Cluster("devnet", DEVNET, is_local=False, is_pinned=False)


def test_play_money_is_spent_without_a_question() -> None:
    confirm_spending(LOCAL, "Deploy", yes=False, as_json=True)


def test_yes_answers_for_a_cluster_that_was_named() -> None:
    confirm_spending(NAMED, "Deploy", yes=True, as_json=True)
    with pytest.raises(CommandError, match=f"--genesis {DEVNET}") as refused:
        confirm_spending(FOUND, "Deploy", yes=True, as_json=False)
    assert refused.value.exit_code == USAGE


def test_a_program_is_not_asked_and_so_not_obeyed() -> None:
    with pytest.raises(CommandError, match="add --yes"):
        confirm_spending(NAMED, "Deploy", yes=False, as_json=True)


@pytest.mark.parametrize(("answer", "agreed"), [("y", True), ("n", False), ("", False)])
def test_a_person_is_asked(answer: str, agreed: bool) -> None:
    with CliRunner().isolation(input=f"{answer}\n"):
        if agreed:
            confirm_spending(NAMED, "Deploy", yes=False, as_json=False)
        else:
            with pytest.raises(CommandError, match="nothing was sent"):
                confirm_spending(NAMED, "Deploy", yes=False, as_json=False)
