import tomllib
from dataclasses import MISSING, fields, is_dataclass
from importlib.resources import files
from pathlib import Path
from typing import get_type_hints

import pytest

from neurogrid_marketplace.attributes import TASK
from neurogrid_marketplace.condition_text import write_conditions
from neurogrid_node.config import Config, ConfigError, load_config

EXAMPLE = files("neurogrid_node").joinpath("node.toml").read_text()


def load(tmp_path: Path, text: str) -> Config:
    path = tmp_path / "node.toml"
    path.write_text(text)
    return load_config(path)


def with_line(key: str, value: str, section: str = "") -> str:
    """The example with one value changed."""
    lines = []
    here = ""
    found = False
    for line in EXAMPLE.splitlines():
        if line.startswith("["):
            here = line.strip("[]")
        if here == section and line.startswith(f"{key} = "):
            line, found = f"{key} = {value}", True
        lines.append(line)
    assert found, key
    return "\n".join(lines)


def test_the_example_names_every_key_with_its_default() -> None:
    document = tomllib.loads(EXAMPLE)
    hints = get_type_hints(Config)
    assert list(document) == [field.name for field in sorted(fields(Config), key=_place(document))]
    for field in fields(Config):
        shown = document[field.name]
        if is_dataclass(hints[field.name]):
            for inner in fields(hints[field.name]):
                assert inner.name in shown, f"{field.name}.{inner.name} is not in the example"
                if inner.default is not MISSING:
                    assert shown[inner.name] == _plain(inner.default), inner.name
        elif field.default is not MISSING:
            assert shown == _plain(field.default), field.name


def _place(document: dict[str, object]):  # type: ignore[no-untyped-def]  # a key function
    order = list(document)
    return lambda field: order.index(field.name)


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def test_every_key_of_the_example_says_what_it_is() -> None:
    explained = False
    for line in EXAMPLE.splitlines():
        if line.startswith("#"):
            explained = True
        elif not line:
            explained = False
        elif not line.startswith("["):
            assert explained, f"nothing explains {line}"


def test_the_example_loads(tmp_path: Path) -> None:
    config = load(tmp_path, EXAMPLE)
    assert config.prices.price_list().gpu_micro_usdc_per_hour == 600_000
    assert str(config.chain.deployment().admin) == "1" * 32
    assert config.offer.pids == 256
    assert config.conditions.clauses() == ()


def test_conditions_on_tasks_are_read_in_the_language(tmp_path: Path) -> None:
    wanted = "'task.timeout <= 2h and (task.ram <= 8GB or task.price.hour >= 0.05USDC)'"
    config = load(tmp_path, with_line("accept", wanted, "conditions"))
    assert write_conditions(config.conditions.clauses(), TASK) == wanted.strip("'")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (EXAMPLE + "\naccpt = ''", "unknown key conditions.accpt; known here: accept"),
        ("colour = 1\n" + EXAMPLE, "unknown key colour; known here: chain"),
        (with_line("gpu", '"0,60"', "prices"), r"\[prices\] gpu: '0,60' is not an amount"),
        (with_line("base", '"-1"', "prices"), r"\[prices\] base: '-1' is not an amount"),
        (with_line("gpu", '"1000001"', "prices"), "at most a million"),
        (with_line("gpu", "0.6", "prices"), r"Expected `str`, got `float` - at `\$.prices.gpu`"),
        (with_line("stake_usdc", '"lots"', "risk"), r"\[risk\] stake_usdc: 'lots'"),
        (with_line("max_unpaid_s", "0", "risk"), r">= 1 - at `\$.risk.max_unpaid_s`"),
        (with_line("pids", "4097", "offer"), r"<= 4096 - at `\$.offer.pids`"),
        (with_line("kind", '"swarm"', "engine"), r"\[engine\] shared: a swarm needs a folder"),
        (
            with_line("user_namespaces", '"required"', "engine").replace(
                'kind = "docker"', 'kind = "swarm"'
            ),
            r"\[engine\] user_namespaces: whether a swarm's machines",
        ),
        (
            with_line("kind", '"kubernetes"', "engine"),
            r"\[engine\] shared: a cluster needs a volume that all its machines can mount",
        ),
        (with_line("namespace", '"Not/one"', "engine"), r"at `\$.engine.namespace`"),
        (with_line("kind", '"podman"', "engine"), r"at `\$.engine.kind`"),
        (with_line("cpu_cores", "-1", "offer"), r"at `\$.offer.cpu_cores`"),
        (
            with_line("accept", '"task.timeout <= 2"', "conditions"),
            r"\[conditions\] accept: at character 17: task\.timeout: '2': a unit is missing",
        ),
        (
            with_line("accept", '"task.ram > 2GB and task.ram < 1GB"', "conditions"),
            r"\[conditions\] accept: these can never hold together",
        ),
        (with_line("region", '"the moon"'), r"at `\$.region`"),
        (with_line("coordinators", "[]"), "none is listed"),
        (with_line("coordinators", '["/ip4/1.2.3.4/tcp/1"]'), "ends in /p2p/"),
        (with_line("coordinators", '["coordinator.example.com"]'), "not an address like"),
        (with_line("listen", '["tcp://0.0.0.0"]'), "not an address like"),
        (with_line("rpc_url", '"ws://127.0.0.1"', "chain"), "rpc_url is no http address"),
        (with_line("fee_policy", '"cheap"', "chain"), r"at `\$.chain.fee_policy`"),
        (with_line("fee_percentile", "101", "chain"), r"at `\$.chain.fee_percentile`"),
        (with_line("fee_cap_lamports", "-1", "chain"), r"at `\$.chain.fee_cap_lamports`"),
        (with_line("second_rpc_url", '"a.example"', "chain"), "second_rpc_url is no http address"),
        (
            with_line("second_rpc_url", '"http://127.0.0.1:8899"', "chain"),
            "second_rpc_url is rpc_url once more",
        ),
        (
            with_line("two_endpoints_from_usdc", '"much"', "chain"),
            r"\[chain\] two_endpoints_from_usdc: 'much'",
        ),
        (with_line("admin", '"me"', "chain"), "admin is not a base58 address"),
        (
            EXAMPLE.replace("genesis_hash", "# genesis_hash"),
            "missing required field `genesis_hash`",
        ),
        ("prices = 5\n", "missing required field|Expected `object`"),
        ("coordinators = ", "Invalid value|line 1"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as refusal:
        load(tmp_path, text)
    assert str(tmp_path / "node.toml") in str(refusal.value)


def test_a_coordinator_listed_twice_is_refused(tmp_path: Path) -> None:
    peer = tomllib.loads(EXAMPLE)["coordinators"][0].rpartition("/")[2]
    both = f'["/ip4/1.2.3.4/tcp/1/p2p/{peer}", "/dns/a.example/tcp/1/p2p/{peer}"]'
    with pytest.raises(ConfigError, match="listed twice"):
        load(tmp_path, with_line("coordinators", both))


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("dht", '["/ip4/9.9.9.9/tcp/1"]', r"\[discovery\] dht: .* a peer id"),
        ("rendezvous", '["example.org"]', r"\[discovery\] rendezvous: 'example.org'"),
        ("join", '["me"]', r"at `\$.discovery.join"),
        ("join", f'["{"1" * 46}"]', "stands for 46 bytes"),
        ("strangers", "17", r"<= 16 - at `\$.discovery.strangers`"),
        ("interval_s", "0", r">= 1 - at `\$.discovery.interval_s`"),
        ("mdns", '"yes"', r"at `\$.discovery.mdns`"),
    ],
)
def test_what_is_wrong_with_discovery_is_named(
    tmp_path: Path, key: str, value: str, says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        load(tmp_path, with_line(key, value, "discovery"))


def test_a_node_may_list_no_coordinator_where_it_finds_one_that_it_may_join(
    tmp_path: Path,
) -> None:
    nobody = with_line("coordinators", "[]").replace("mdns = false", "mdns = true")
    with pytest.raises(ConfigError, match="finds none that may be joined"):
        load(tmp_path, nobody)
    assert load(tmp_path, nobody.replace("strangers = 0", "strangers = 2")).discovery.is_on
    with pytest.raises(ConfigError, match="finds none that may be joined"):
        load(tmp_path, with_line("coordinators", "[]").replace("strangers = 0", "strangers = 2"))


def test_no_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="run `neurogrid-node init` first"):
        load_config(tmp_path / "node.toml")


def test_configs_and_the_package_hold_the_same_example() -> None:
    root = Path(__file__).parents[2]
    assert (root / "configs" / "node.toml").read_text() == EXAMPLE


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("allow", '["127.0.0.1"]', r"\[egress\] '127.0.0.1' is no rule"),
        ("allow", '["example.org:25"]', r"\[egress\] 'example.org:25': no job reaches port 25"),
        ("deny", '["localhost"]', r"\[egress\] 'localhost' is no rule"),
        ("deny_networks", '["my router"]', r"\[egress\] deny_networks: "),
        ("private", '["models.lan:8080"]', r"\[egress\] private: .* with its address"),
        ("gib_per_job", "0", r"at `\$.egress.gib_per_job`"),
        ("connections", "1025", r"at `\$.egress.connections`"),
    ],
)
def test_what_is_wrong_about_jobs_networks_is_named(
    tmp_path: Path, key: str, value: str, says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        load(tmp_path, with_line(key, value, "egress"))


def test_jobs_reach_nothing_unless_the_owner_says_so(tmp_path: Path) -> None:
    config = load(tmp_path, EXAMPLE)
    assert not config.egress.serve
    assert config.egress.pinned() == {}
