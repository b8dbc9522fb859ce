"""``neurogrid wallet``: which commands there are. An entry point of ``neurogrid.commands``.

Loaded for ``neurogrid wallet --help``, so it imports nothing but click until a command runs.
"""

from typing import Any

import click

from neurogrid_contracts.terminal.group import load_command
from neurogrid_contracts.wallet_cli.failures import EPILOG, Failed, expected

_SECTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "Wallets": {
        "new": ("making:new", "Make a wallet: 24 words, shown once, to be written down."),
        "import": ("making:import_", "Bring a phrase, a key, or an address to watch."),
        "list": ("files:list_", "List the wallets."),
        "use": ("files:use", "Choose the default wallet."),
        "show": ("files:show", "Show a wallet without its money."),
        "address": ("files:address", "Print the address that others pay to."),
    },
    "Keeping it safe": {
        "backup": ("backup:backup", "Show the phrase again, and prove that it is written down."),
        "export": ("backup:export", "Write the key as a Solana key file, unencrypted."),
        "change-passphrase": ("backup:change_passphrase", "Seal the same key anew."),
        "keyring": ("backup:keyring", "Keep the passphrase in the system's keyring, or forget it."),
        "payout": ("payout:payout", "Where it pays out to, and the cold key that decides."),
    },
    "Money": {
        "balance": ("balance:balance", "Show what the wallet and its client account hold."),
        "send": ("money:send", "Send USDC or another currency to an address."),
        "deposit": ("money:deposit", "Move money into the client account, for jobs."),
        "withdraw": ("money:withdraw", "Take unlocked money out of the client account."),
        "resume": ("money:resume", "Finish what interrupted commands have begun."),
        "operator": ("operator:operator", "Who may open escrows in your name, and up to what."),
        "history": ("history:history", "List what moved in and out."),
    },
}
_COMMANDS = {name: entry for section in _SECTIONS.values() for name, entry in section.items()}


class _Group(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        return load_command("neurogrid_contracts.wallet_cli", _COMMANDS[name][0])

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, commands in _SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, text) for name, (_, text) in commands.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; what can go wrong outside of us becomes a message with a code.

        Everything else is a bug, and keeps its traceback.
        """
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            found = expected(error)
            if found is None:
                raise
            if isinstance(found, BrokenPipeError):
                raise found from None  # nobody reads its output any more
            raise Failed(found, as_json=bool(ctx.meta.get("neurogrid.json"))) from error


@click.group(cls=_Group, epilog=EPILOG, no_args_is_help=True)
def wallet() -> None:
    """Keep keys; hold, send, deposit and withdraw money.

    Wallets are in ~/.neurogrid/wallets, or where --wallets or NEUROGRID_WALLETS says. Every
    command takes --json, and asks before money moves unless --yes is given.
    """
