"""The neurogrid-node command."""

import click

from neurogrid_contracts.terminal.group import ExtraGroup

from .commands import (
    benchmark,
    config,
    discover,
    doctor,
    fleet,
    images,
    init,
    inventory,
    jobs,
    keys,
    logs,
    money,
    price,
    reclaim,
    service,
    start,
    status,
    steer,
    top,
    upgrade,
)


@click.group(cls=ExtraGroup, extra="node", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="neurogrid", prog_name="neurogrid-node")
def main() -> None:
    """Offer this machine's GPUs on NeuroGrid and be paid in USDC."""


for _command in (
    init.init,
    keys.keys,
    start.start,
    status.status,
    inventory.inventory,
    fleet.fleet,
    doctor.doctor,
    config.config,
    benchmark.benchmark,
    reclaim.reclaim,
    price.price,
    service.service,
    upgrade.upgrade,
    discover.discover,
    images.images,
    jobs.jobs,
    logs.logs,
    top.top,
    *steer.COMMANDS,
    *money.COMMANDS,
):
    main.add_command(_command)


if __name__ == "__main__":
    main()
