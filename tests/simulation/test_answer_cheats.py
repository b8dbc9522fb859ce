"""Who answers with other vectors, transcripts, pictures or counts than the model's is found out, and honest servers are not: by measured answers."""

import pytest

from .answer_cheats import ALL, CHECKS_MAX, serve
from .measured import kept

SEEDS = range(20)
WITHIN_CHECKS = 60
CHEATS = [(kind, name) for kind, servers in ALL.items() for name in servers.cheats]
HONEST = [(kind, name) for kind, servers in ALL.items() for name in servers.honest]


@pytest.mark.parametrize(("kind", "name"), CHEATS)
def test_a_cheat_is_found_out_and_charged_with_what_it_does(kind: str, name: str) -> None:
    servers = ALL[kind]
    for seed in SEEDS:
        found = serve(kept()[kind], name, servers.honest[0], seed)
        assert (found.charge, found.checks <= WITHIN_CHECKS) == (servers.cheats[name], True), seed
        assert found.checks >= 4, "nobody by three differences"


@pytest.mark.parametrize(("kind", "name"), HONEST)
def test_honest_servers_are_not_charged(kind: str, name: str) -> None:
    for seed in SEEDS:
        found = serve(kept()[kind], name, name, seed)
        assert (found.charge, found.checks, found.against) == (None, CHECKS_MAX, 0)


@pytest.mark.parametrize(
    ("kind", "name"),
    [("vectors", "4 bits"), ("pictures", "4 bits"), ("seeded texts", "4 bits")],
)
def test_who_cheats_in_half_of_its_answers_is_found_too(kind: str, name: str) -> None:
    servers = ALL[kind]
    for seed in SEEDS:
        found = serve(kept()[kind], name, servers.honest[0], seed, share=0.5)
        assert found.charge is servers.cheats[name]
