from pathlib import Path

import pytest

from neurogrid_contracts.chain_payments import outbox_policy
from neurogrid_coordinator.config import (
    ChainConfig,
    Config,
    ConfigError,
    filled,
    load_config,
    parse_config,
    template,
)
from neurogrid_p2p.limits import RelayLimits
from neurogrid_wallet.fees import FeePolicy

REPOSITORY = Path(__file__).parents[2]
ADDRESS = "1" * 32
CHAIN = f"""
[chain]
rpc_url = "http://127.0.0.1:8899"
program_id = "{ADDRESS}"
usdc_mint = "{ADDRESS}"
admin = "{ADDRESS}"
genesis_hash = "{ADDRESS}"
"""


def test_the_shipped_file_lists_every_key_with_its_default() -> None:
    chain = ChainConfig(
        rpc_url="http://127.0.0.1:8899",
        program_id=ADDRESS,
        usdc_mint=ADDRESS,
        admin=ADDRESS,
        genesis_hash=ADDRESS,
    )
    assert parse_config(template(), "template") == Config(chain=chain)
    sections = (
        "chain",
        "http",
        "requests",
        "p2p",
        "peers",
        "relay",
        "discovery",
        "timers",
        "limits",
        "log",
        "traces",
        "metrics",
        "fetch",
        "webhooks",
        "trust",
    )
    for section in sections:
        for key in Config(chain=chain).__getattribute__(section).__struct_fields__:
            assert f"\n{key} = " in template(), key
    assert (REPOSITORY / "configs" / "coordinator.toml").read_text() == template()


def test_only_the_chain_is_required() -> None:
    assert parse_config(CHAIN, "x").timers.bid_window_ms == 250
    with pytest.raises(ConfigError, match="chain"):
        parse_config("", "x")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[timers]\nbid_window = 3", "bid_window"),
        ("[timer]", "timer"),
        ("[trust]\nmin_stake_usdc = '1,5'", "1,5"),
        ("[timers]\nbid_window_ms = 0", "bid_window_ms"),
        ("[timers]\nbid_window_ms = '1'", "bid_window_ms"),
        ("[http]\nlisten = 'localhost'", "listen"),
        ("[http]\nlisten = 'localhost:70000'", "65535"),
        ("[p2p]\nlisten = []", "listen"),
        ("[p2p]\nlisten = ['/ip4/0.0.0.0/udp/1/quic']", "listen"),
        ("[p2p]\nrelays = ['/ip4/192.0.2.7/tcp/4001']", "not a relay's address"),
        ("[relay]\nreservations = 0", "reservations"),
        ("[discovery]\nmdns = true", "listen: it names no address"),
        ("[discovery]\nlisten = ['/ip4/0.0.0.0/udp/1/quic']", "listen"),
        ("[discovery]\nrendezvous = ['/ip4/192.0.2.7/tcp/4001']", r"rendezvous: .* a peer id"),
        ("[discovery]\ndht = ['example.org']", r"\[discovery\] dht: 'example.org'"),
        ("[discovery]\nhosts = ['a b']", "hosts: 'a b' is no IP address and no name"),
        ("[http", "TOML"),
        ("fee_policy = 'cheap'", "fee_policy"),
        ("fee_percentile = 0", "fee_percentile"),
        ("fee_cap_lamports = -1", "fee_cap_lamports"),
        ("second_rpc_url = 'ws://a.example'", "second_rpc_url"),
        ("second_rpc_url = 'http://127.0.0.1:8899'", "second_rpc_url is rpc_url once more"),
        ("two_endpoints_from_usdc = 'much'", "two_endpoints_from_usdc: 'much'"),
    ],
)
def test_a_wrong_key_or_value_is_named(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse_config(CHAIN + text, "x")


def test_fees_and_endpoints_reach_the_outbox() -> None:
    text = f"""{CHAIN}
    fee_policy = "fixed"
    compute_unit_price_micro_lamports = 7
    fee_cap_lamports = 3
    second_rpc_url = "https://other.example"
    two_endpoints_from_usdc = "12.5"
    """
    policy = outbox_policy(parse_config(text, "x").chain)
    assert policy.fees == FeePolicy(unit_price_micro_lamports=7, cap_lamports=3)
    assert policy.two_endpoints_from_micro_usdc == 12_500_000

    default = outbox_policy(parse_config(CHAIN, "x").chain)
    assert default.fees == FeePolicy(percentile=50, cap_lamports=100_000)
    # Nothing may be held up, or refused, for want of a second endpoint.
    assert default.two_endpoints_from_micro_usdc is None


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="program_id"):
        parse_config(CHAIN.replace(f'program_id = "{ADDRESS}"', 'program_id = "0OIl"'), "x")


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="init"):
        load_config(tmp_path / "coordinator.toml")


def test_a_filled_template_keeps_its_comments() -> None:
    text = filled({"http.listen": "[::1]:0", "p2p.listen": ["/ip4/127.0.0.1/tcp/0"]})
    config = parse_config(text, "x")
    assert (config.http.host, config.http.port) == ("::1", 0)
    assert config.p2p.listen == ("/ip4/127.0.0.1/tcp/0",)
    assert len(text.splitlines()) == len(template().splitlines())
    with pytest.raises(ConfigError, match=r"http\.lisen"):
        filled({"http.lisen": "x"})


def test_relaying_is_off_until_it_is_asked_for() -> None:
    assert parse_config(CHAIN, "x").relay.limits is None
    asked = parse_config(CHAIN + "[relay]\nserve = true\ncircuits = 7", "x")
    assert asked.relay.limits == RelayLimits(circuits=7)


def test_lists_of_peers_are_read_and_nonsense_is_named() -> None:
    foe = "12D3KooWJWoaqZhDaoEFshF7Rh1bpY9ohihFhzcW6d69Lr2NASuq"
    text = template().replace("deny = []", f'deny = ["{foe} sent wrong results"]')
    assert parse_config(text, "file").peers.lists.deny == {foe: "sent wrong results"}
    with pytest.raises(ConfigError, match=r"file: .*nobody"):
        parse_config(template().replace("deny = []", 'deny = ["nobody"]'), "file")


def test_rates_of_challenges_are_read_line_by_line() -> None:
    rates = '["NVIDIA RTX 4090 400000", "gpu 50000", "cpu 100"]'
    trust = parse_config(f"{CHAIN}\n[trust]\nchallenge_rates = {rates}", "c").trust
    read = [(rate.model, rate.millions_per_s) for rate in trust.challenges.terms.rates]
    assert read == [("NVIDIA RTX 4090", 400_000), ("gpu", 50_000), ("cpu", 100)]


@pytest.mark.parametrize(
    "line",
    [
        'challenge_rates = ["gpu 1", "RTX 1"]',
        'challenge_rates = ["gpu", "cpu 1"]',
        'challenge_rates = ["gpu 0", "cpu 1"]',
        'challenge_rates = ["gpu 1.5", "cpu 1"]',
        'challenge_account = "alice"',
        'challenge_usdc_per_day = "much"',
        "challenge_fill_percent = 101",
    ],
)
def test_challenges_that_cannot_be_made_are_refused(line: str) -> None:
    with pytest.raises(ConfigError):
        parse_config(f"{CHAIN}\n[trust]\n{line}", "c")


@pytest.mark.parametrize(
    ("section", "line", "words"),
    [
        ("requests", 'tiers = ["free 100", "free 200"]', "named twice"),
        ("requests", 'tiers = ["free"]', "tiers"),
        ("requests", 'default_tier = "gold"', "gold is none of the tiers"),
        ("http", 'trusted_proxies = ["10.0.0.1/8"]', "has host bits set"),
        ("http", 'trusted_proxies = ["proxy"]', "does not appear to be"),
        ("http", 'cors_origins = ["*"]', "cors_origins"),
        ("http", 'cors_origins = ["https://app.example.org/"]', "cors_origins"),
    ],
)
def test_limits_and_proxies_that_mean_nothing_are_refused(
    section: str, line: str, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        parse_config(f"{CHAIN}[{section}]\n{line}\n", "x")


def test_tiers_are_names_with_requests_per_minute() -> None:
    rules = parse_config(
        f'{CHAIN}[requests]\ntiers = ["free 100", "pro 1000", "acme 0"]\n', "x"
    ).requests.rules
    found = [rules.per_minute(tier) for tier in ("", "free", "pro", "acme", "gone")]
    assert found == [100, 100, 1000, 0, 100]
