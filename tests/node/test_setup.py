import json
import stat
from pathlib import Path

import pytest

from neurogrid_node.config import ConfigError, load_config
from neurogrid_node.key_files import forgo_backup, load_keys, wallet_address
from neurogrid_node.setup import Made, initialise
from neurogrid_wallet.errors import PassphraseMissing, SecretFilePermissions, WrongPassphrase
from node.market import COORDINATOR

ADDRESS = f"/ip4/127.0.0.1/tcp/4001/p2p/{COORDINATOR}"
CHAIN = {
    "rpc_url": "http://127.0.0.1:8899",
    "program_id": "1" * 32,
    "usdc_mint": "1" * 31 + "2",
    "admin": "1" * 31 + "3",
    "genesis_hash": "1" * 32,
    "extra": 5,
}


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    path = tmp_path / "chain.json"
    path.write_text(json.dumps(CHAIN))
    return path


@pytest.fixture
def passphrase(tmp_path: Path) -> Path:
    path = tmp_path / "passphrase"
    path.write_text("correct horse battery staple\n")
    path.chmod(0o600)
    return path


def make(directory: Path, chain: Path, **changes: object) -> Made:
    options: dict[str, object] = {
        "coordinators": (ADDRESS,),
        "chain_file": chain,
        "region": "eu-1",
        "encrypted": False,
        "passphrase_file": None,
        "back_up": forgo_backup,
        **changes,
    }
    return initialise(directory, **options)  # type: ignore[arg-type]  # its options


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_node_has_keys_and_a_configuration_that_loads(tmp_path: Path, chain: Path) -> None:
    made = make(tmp_path / "node", chain)
    config = load_config(made.config)
    assert config.coordinators == (ADDRESS,)
    assert config.region == "eu-1"
    assert config.chain.rpc_url == CHAIN["rpc_url"]
    keys = load_keys(tmp_path / "node", None)
    assert keys.wallet.address == made.wallet
    assert keys.wallet != keys.identity
    # The comments are there too.
    assert "# Asking prices, USDC per hour" in made.config.read_text()


def test_only_the_owner_can_read_what_is_made(tmp_path: Path, chain: Path) -> None:
    (tmp_path / "node").mkdir(mode=0o755)
    made = make(tmp_path / "node", chain)
    assert mode(tmp_path / "node") == 0o700
    assert mode(made.wallet_file) == 0o600
    assert mode(tmp_path / "node" / "identity.json") == 0o600


def test_a_key_that_others_can_read_is_not_used(tmp_path: Path, chain: Path) -> None:
    made = make(tmp_path / "node", chain)
    made.wallet_file.chmod(0o644)
    with pytest.raises(SecretFilePermissions):
        load_keys(tmp_path / "node", None)


def test_init_twice_keeps_everything(tmp_path: Path, chain: Path) -> None:
    first = make(tmp_path / "node", chain)
    before = {path: path.read_bytes() for path in (tmp_path / "node").iterdir()}
    chain.unlink()  # it is not even read again
    second = make(tmp_path / "node", chain, region="elsewhere")
    assert second == first
    assert {path: path.read_bytes() for path in (tmp_path / "node").iterdir()} == before


def test_an_encrypted_wallet_opens_with_its_passphrase_only(
    tmp_path: Path, chain: Path, passphrase: Path
) -> None:
    made = make(tmp_path / "node", chain, encrypted=True, passphrase_file=passphrase)
    assert made.wallet_file.name == "wallet.keystore"
    assert not (tmp_path / "node" / "wallet.json").exists()
    assert load_keys(tmp_path / "node", passphrase).wallet.address == made.wallet
    again = make(tmp_path / "node", chain, encrypted=True, passphrase_file=passphrase)
    assert again == made
    passphrase.write_text("wrong\n")
    with pytest.raises(WrongPassphrase):
        load_keys(tmp_path / "node", passphrase)


def test_the_passphrase_can_come_from_the_environment(
    tmp_path: Path, chain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEUROGRID_PASSPHRASE", "correct horse battery staple")
    made = make(tmp_path / "node", chain, encrypted=True)
    assert load_keys(tmp_path / "node", None).wallet.address == made.wallet


def test_without_a_passphrase_no_wallet_is_made(
    tmp_path: Path, chain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NEUROGRID_PASSPHRASE", raising=False)
    with pytest.raises(PassphraseMissing):
        make(tmp_path / "node", chain, encrypted=True)
    assert not list((tmp_path / "node").glob("wallet*"))


def test_settings_replace_the_examples_values(tmp_path: Path, chain: Path) -> None:
    settings = {"prices.gpu": "1.25", "offer.cpu_cores": 2}
    made = make(tmp_path / "node", chain, settings=settings)
    config = load_config(made.config)
    assert (config.prices.gpu, config.offer.cpu_cores) == ("1.25", 2)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"settings": {"prices.gpus": "1"}}, "unknown key prices.gpus; known here: base"),
        ({"settings": {"prices.gpu": "free"}}, "gpu: 'free' is not an amount"),
        ({"coordinators": ("nowhere",)}, "not an address like"),
        ({"region": "the moon"}, "region"),
    ],
)
def test_what_cannot_be_loaded_is_not_left_behind(
    tmp_path: Path, chain: Path, changes: dict[str, object], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        make(tmp_path / "node", chain, **changes)
    assert not list((tmp_path / "node").iterdir())


def test_a_chain_file_that_lacks_something_says_what(tmp_path: Path, chain: Path) -> None:
    chain.write_text(json.dumps({**CHAIN, "admin": 5, "genesis_hash": None}))
    with pytest.raises(ConfigError, match="lacks admin, genesis_hash"):
        make(tmp_path / "node", chain)
    chain.write_text("{")
    with pytest.raises(ConfigError, match=r"chain\.json"):
        make(tmp_path / "node", chain)


def test_keys_are_made_first(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="run `neurogrid-node init` first"):
        load_keys(tmp_path, None)


def test_a_wallets_address_is_known_without_its_passphrase(
    tmp_path: Path, chain: Path, passphrase: Path
) -> None:
    sealed = make(tmp_path / "sealed", chain, encrypted=True, passphrase_file=passphrase)
    unsealed = make(tmp_path / "unsealed", chain)
    assert wallet_address(tmp_path / "sealed") == sealed.wallet
    assert wallet_address(tmp_path / "unsealed") == unsealed.wallet
    with pytest.raises(ConfigError, match="neurogrid-node init"):
        wallet_address(tmp_path / "nowhere")
