"""What a task's job may reach, and what it did, as its owner sees it."""

from typing import Annotated

from msgspec import Meta, Struct

from neurogrid_marketplace.network import REFUSALS

from ...store.tasks import TaskRow


class HostUseView(Struct, frozen=True):
    """What a job did with one host."""

    host: str
    port: int
    connections: int
    sent_bytes: int
    received_bytes: int


class RefusalView(Struct, frozen=True):
    """What a job was not let do."""

    host: str
    port: int
    reason: str
    meaning: str
    count: int


class NetworkUseView(Struct, frozen=True):
    """What its last run did with its network, as its node says in the signed result."""

    connections: int
    sent_bytes: int
    received_bytes: int
    refused: int
    hosts: Annotated[list[HostUseView], Meta(description="The first that it reached.")]
    refusals: Annotated[list[RefusalView], Meta(description="The first that there were.")]


class NetworkView(Struct, frozen=True):
    """What a job may reach, and once it has ended what it did."""

    allow: list[str]
    use: NetworkUseView | None


def network_view(row: TaskRow) -> NetworkView | None:
    """Of a task that asked for network."""
    wanted, result = row.job.network, row.state.result
    if wanted is None:
        return None
    use = None if result is None else result.network
    return NetworkView(
        allow=list(wanted.allow),
        use=None
        if use is None
        else NetworkUseView(
            connections=use.connections,
            sent_bytes=use.sent_bytes,
            received_bytes=use.received_bytes,
            refused=use.refused,
            hosts=[
                HostUseView(
                    each.host, each.port, each.connections, each.sent_bytes, each.received_bytes
                )
                for each in use.hosts
            ],
            refusals=[
                RefusalView(
                    each.host, each.port, each.reason.value, REFUSALS[each.reason], each.count
                )
                for each in use.refusals
            ],
        ),
    )
