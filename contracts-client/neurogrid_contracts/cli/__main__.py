"""The command ``neurogrid-contracts``."""

import click

from neurogrid_contracts.cli.exit_codes import EPILOG
from neurogrid_contracts.terminal.group import ExtraGroup, load_command

# Name -> module:attribute. Imported when run, so that --help stays quick.
_COMMANDS = {
    "deploy": "programs:deploy",
    "upgrade": "programs:upgrade",
    "verify": "programs:verify",
    "show": "programs:show",
    "set-authority": "programs:set_authority",
    "write-buffer": "programs:write_buffer",
    "close-buffer": "programs:close_buffer",
    "market": "markets:market",
    "terms": "markets:terms",
    "admin": "markets:admin",
    "escrow": "parties:escrow",
    "dispute": "parties:dispute",
    "provider": "parties:provider",
    "client": "parties:client",
}


class _Group(ExtraGroup):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        return load_command("neurogrid_contracts.cli", _COMMANDS[name])


@click.group(
    cls=_Group,
    extra="ledger",
    epilog=EPILOG,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="neurogrid", prog_name="neurogrid-contracts")
def main() -> None:
    """Deploy the escrow program, check what a chain runs, and look after its markets."""


if __name__ == "__main__":
    main(prog_name="neurogrid-contracts")
