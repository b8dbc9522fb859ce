"""The neurogrid-coordinator command."""

import click

from neurogrid_contracts.terminal.group import ExtraGroup

from .commands import (
    accounts,
    audit,
    backup,
    challenge,
    init,
    migrate,
    model_checks,
    models,
    prune,
    reconcile,
    running,
    service,
)


@click.group(
    cls=ExtraGroup, extra="coordinator", context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(package_name="neurogrid", prog_name="neurogrid-coordinator")
def main() -> None:
    """Hold NeuroGrid's auctions and serve its API."""


for _command in (
    init.init,
    running.start,
    running.direct,
    running.status,
    service.service,
    reconcile.reconcile,
    backup.backup,
    backup.restore,
    migrate.migrate,
    prune.prune,
    challenge.challenge,
    models.models,
    accounts.account,
    audit.audit,
    accounts.key,
):
    main.add_command(_command)
for _command in (model_checks.models_checks, model_checks.models_forgive):
    models.models.add_command(_command)


if __name__ == "__main__":
    main()
