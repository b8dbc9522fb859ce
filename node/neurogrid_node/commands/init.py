"""`neurogrid-node init`: an owner's first run. It asks what it must, and every question is an option, too."""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from . import options
from .exits import fail

if TYPE_CHECKING:
    from ..config_text import Value
    from ..key_files import BackUp, Sealing, Secret

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Typed:
    """The options of `init`; empty where they were not given."""

    directory: Path
    coordinators: tuple[str, ...]
    rendezvous: tuple[str, ...]
    dht: tuple[str, ...]
    mdns: bool
    join: tuple[str, ...]
    chain_file: Path | None
    region: str | None
    gpu_price: str | None
    core_price: str | None
    assignments: tuple[str, ...]
    no_passphrase: bool
    backup: Path | None
    keys_may_be_lost: bool
    restore: str | None
    yes: bool
    wait_for_funds: bool
    wait_limit_s: float
    passphrase_file: Path | None
    as_json: bool

    @property
    def finds(self) -> bool:
        """Whether coordinators are to be found, so that none needs to be listed."""
        return bool(self.rendezvous or self.dht or self.mdns)

    def values(self) -> "dict[str, Value]":
        """What was typed, as values of node.toml.

        Raises:
            ConfigError: the chain file or an assignment is none.
        """
        from ..config_text import read_assignment
        from ..setup import example_text, read_chain

        given: dict[str, Value | None] = {
            "coordinators": self.coordinators or (() if self.finds else None),
            "discovery.rendezvous": self.rendezvous or None,
            "discovery.dht": self.dht or None,
            "discovery.mdns": self.mdns or None,
            "discovery.join": self.join or None,
            "region": self.region,
            "prices.gpu": self.gpu_price,
            "prices.cpu_core": self.core_price,
        }
        values = {key: value for key, value in given.items() if value is not None}
        if self.chain_file is not None:
            values |= read_chain(self.chain_file)
        return values | dict(read_assignment(example_text(), text) for text in self.assignments)


@click.command(
    epilog="""\b
Without a terminal, or with --yes, nothing is asked: region and prices have defaults, the rest
has to be given. Killed anywhere and typed again, it goes on where it was.
"""
)
@options.directory
@click.option(
    "--coordinator",
    "coordinators",
    multiple=True,
    metavar="ADDRESS",
    help="libp2p address of a coordinator, ending in /p2p/<peer id>; may be repeated.",
)
@click.option(
    "--rendezvous",
    multiple=True,
    metavar="ADDRESS",
    help="libp2p address of a rendezvous point where coordinators are looked for; may be repeated.",
)
@click.option(
    "--dht", multiple=True, help="The same of a node of a DHT; may be repeated.", metavar="ADDRESS"
)
@click.option("--mdns", is_flag=True, help="Look for coordinators on the local network.")
@click.option(
    "--join",
    multiple=True,
    metavar="PEER_ID",
    help="A coordinator that is joined where it is found; may be repeated.",
)
@click.option(
    "--chain",
    "chain_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The market's JSON file, from who runs it: rpc_url, program_id, usdc_mint, admin, genesis_hash.",
)
@click.option("--region", help="Where the machine stands.  [default: local]")
@click.option("--gpu-price", metavar="USDC", help="What a GPU costs, an hour.  [default: 0.60]")
@click.option(
    "--core-price", metavar="USDC", help="What a processor core costs, an hour.  [default: 0.02]"
)
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="Any other value of node.toml, such as offer.cpu_cores=8; may be repeated.",
)
@click.option("--no-passphrase", is_flag=True, help="Keep the wallet's key unencrypted (0600).")
@options.passphrase
@click.option(
    "--backup",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Back the keys up there (0600), sealed as the wallet is, instead of showing 24 words.",
)
@click.option(
    "--keys-may-be-lost",
    is_flag=True,
    help="Back nothing up: whoever loses this disk loses stake and earnings.",
)
@click.option(
    "--restore",
    metavar="FILE",
    help="Bring a node back by its backup: words, a sealed file, or Solana's key file; - asks for words.",
)
@click.option("--yes", is_flag=True, help="Ask nothing.")
@options.waits_for_funds
@options.json_output
def init(**typed: Any) -> None:
    """Make this machine a node: a commented node.toml, and keys that are backed up."""
    from neurogrid_contracts.terminal.backups import WordWrong
    from neurogrid_wallet.errors import WalletError

    from ..config import ConfigError

    try:
        _init(Typed(**typed))
    except WordWrong as error:
        fail(f"{error}: type the same command again, it shows the same words")
    except BrokenPipeError:
        raise  # nobody reads its output any more
    except (ConfigError, WalletError, OSError, ValueError) as error:
        fail(str(error))


def _init(typed: Typed) -> None:
    from ..config import CONFIG_NAME
    from ..key_files import Sealing, wallet_file
    from ..setup import asked_once, set_up

    directory = typed.directory
    configured = (directory / CONFIG_NAME).exists()
    has_wallet = wallet_file(directory) is not None
    _refuse_contradictions(typed)
    asks = sys.stdin.isatty() and not typed.yes
    if not asks:
        _refuse_silence(typed, configured=configured, has_wallet=has_wallet)
    sealing = Sealing(not typed.no_passphrase, asked_once(typed.passphrase_file))
    values = typed.values()
    if configured:
        _refuse_changes(directory / CONFIG_NAME, values)
        click.echo(f"{directory / CONFIG_NAME} is there and stays as it is", err=True)
    else:
        values = _completed(values, asks=asks)
    back_up = _backup(typed)
    restored = _restored(typed, sealing)
    made = set_up(directory, values, sealing, back_up, restored=restored)
    if typed.as_json:
        document = {
            "peer_id": made.peer_id,
            "wallet": made.wallet,
            "config": str(made.config),
            "wallet_file": str(made.wallet_file),
        }
        click.echo(json.dumps(document))
    else:
        click.echo(f"peer id  {made.peer_id}\nwallet   {made.wallet}\nconfig   {made.config}")
    if typed.wait_for_funds:
        from ..money.owner import wait_for_funds

        wait_for_funds(directory, typed.wait_limit_s)
    elif not typed.as_json:
        click.echo("\nSend SOL for fees and USDC for the stake to the wallet.")
    if not typed.as_json:
        click.echo(f"Then: neurogrid-node start --data {directory}")


def _refuse_contradictions(typed: Typed) -> None:
    chosen = (typed.backup is not None, typed.keys_may_be_lost, typed.restore is not None)
    if sum(chosen) > 1:
        raise click.UsageError("give one of --backup, --restore and --keys-may-be-lost")
    if typed.no_passphrase and typed.passphrase_file is not None and typed.restore is None:
        raise click.UsageError("give one of --passphrase-file and --no-passphrase")


def _refuse_silence(typed: Typed, *, configured: bool, has_wallet: bool) -> None:
    """Where nobody can be asked, say at once all that would have been."""
    from neurogrid_wallet.passphrase import PASSPHRASE_VARIABLE

    from ..config import ConfigError
    from ..first_run import Known, lacking

    options = lacking(
        Known(
            configured=configured,
            coordinator=bool(typed.coordinators) or typed.finds,
            chain=typed.chain_file is not None,
            wallet=has_wallet,
            sealing=typed.no_passphrase
            or typed.passphrase_file is not None
            or PASSPHRASE_VARIABLE in os.environ,
            backup=bool(typed.backup or typed.restore or typed.keys_may_be_lost),
        )
    )
    if options:
        raise ConfigError("nothing can be asked here: give " + "; ".join(options))


def _refuse_changes(path: Path, values: "dict[str, Value]") -> None:
    """A node.toml that is there is its owner's: say where it is other than what was typed."""
    from ..config import ConfigError
    from ..config_text import differing

    different = differing(path.read_text(), values)
    if different:
        raise ConfigError(
            f"{path} is there and is not overwritten; it says {', '.join(different)}: edit it, or "
            "choose another --data"
        )


def _completed(values: "dict[str, Value]", *, asks: bool) -> "dict[str, Value]":
    """What was typed, and answers or defaults for the rest."""
    import trio

    from neurogrid_p2p.address import parse_address

    from ..machine.inventory import take_inventory
    from ..settings.amounts import amount
    from ..settings.money import PriceConfig
    from ..setup import read_chain

    machine = trio.run(take_inventory, Path("/"))
    click.echo(f"machine  {machine.summary}", err=True)
    if not asks:
        return values

    def address(text: str) -> tuple[str, ...]:
        if parse_address(text).peer_id is None:
            raise ValueError("an address ends in /p2p/ and the coordinator's peer id")
        return (text,)

    def price(text: str) -> str:
        amount("the price", text)
        return text

    if "coordinators" not in values:
        values["coordinators"] = _asked("Coordinator's address, from who runs it", address)
    if "chain.rpc_url" not in values:
        values |= _asked(
            "Market's chain file, from the same", lambda text: read_chain(Path(text).expanduser())
        )
    if "region" not in values:
        values["region"] = _asked("Region, which clients may ask for", str, "local")
    proposed = _proposed(values, [gpu.model for gpu in machine.gpus])
    for key, question, default in (
        ("prices.gpu", "USDC an hour for a GPU", PriceConfig().gpu),
        ("prices.cpu_core", "USDC an hour for a core", PriceConfig().cpu_core),
    ):
        if key not in values and (machine.gpus or key != "prices.gpu"):
            values[key] = _asked(question, price, proposed.get(key, default))
    return values


def _proposed(values: "dict[str, Value]", models: list[str]) -> dict[str, str]:
    """What the coordinators' past awards propose, said with where it comes from; else nothing."""
    import trio

    from neurogrid_marketplace.money import format_usdc

    from ..market.price_sheets import ask_prices
    from ..pricing import proposals
    from ..settings.money import PriceConfig

    addresses = values["coordinators"]
    if not isinstance(addresses, tuple) or not addresses:
        return {}
    sheets, _ = trio.run(ask_prices, addresses)
    found = {}
    for each in proposals(PriceConfig().price_list(), models, sheets):
        if each.proposed_micro_usdc is not None:
            click.echo(f"market   {each.why}", err=True)
            found[each.key] = format_usdc(each.proposed_micro_usdc)
    if not found:
        click.echo("market   no prices are known: what follows are node.toml's examples", err=True)
    return found


def _asked(question: str, read: Callable[[str], _T], default: str | None = None) -> _T:
    """An answer that can be read; what is wrong with one is said, and it is asked again."""
    from neurogrid_marketplace.errors import InvalidValue
    from neurogrid_p2p.errors import AddressInvalid

    from ..config import ConfigError

    def read_or_say(text: str) -> _T:
        try:
            return read(text.strip())
        except (ConfigError, InvalidValue, AddressInvalid, ValueError) as error:
            raise click.UsageError(str(error)) from None

    answer: _T = click.prompt(question, default=default, value_proc=read_or_say, err=True)
    return answer


def _backup(typed: Typed) -> "BackUp":
    from ..key_files import forgo_backup
    from .backing_up import in_file, on_paper

    if typed.backup is not None:
        return in_file(typed.backup, typed.directory)
    return forgo_backup if typed.keys_may_be_lost else on_paper


def _restored(typed: Typed, sealing: "Sealing") -> "Secret | None":
    from .backing_up import bring_back

    return None if typed.restore is None else bring_back(typed.restore, sealing)
