"""What both of the demo's stories use: the client, the ledger, the screen, and words for them."""

import time
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from neurogrid import Client
from neurogrid.errors import WaitTimeout
from neurogrid.models import Task
from neurogrid_marketplace.money import format_usdc

from ..network_file import Network
from .money import Ledger, Money
from .screen import Screen

# A lost node's escrow comes back after the silence that counts as death and the chain's grace.
_SETTLED_PATIENCE_S = 60.0
_LOOK_INTERVAL_S = 0.1


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything at hand."""

    screen: Screen
    network: Network
    client: Client
    ledger: Ledger
    folder: Path

    def name(self, node_id: str | None) -> str:
        """What a node is called here."""
        names = {node.peer_id: node.name for node in self.network.nodes}
        return names.get(node_id or "", str(node_id))

    def show_nodes(self) -> None:
        """Who offers what."""
        rows = []
        for node in sorted(self.client.nodes.list().nodes, key=lambda node: self.name(node.id)):
            ask = node.price_per_hour
            rows.append(
                (
                    self.name(node.id),
                    node.id,
                    f"{node.cpu_cores:g}",
                    f"{node.ram_gb:.1f} GB",
                    f"{ask} USDC/h" if ask is not None else "",
                )
            )
        self.screen.table(("node", "peer id", "cores", "memory", "asks for a core"), rows)

    def show_auction(self, task_id: str) -> None:
        """Who bid in the latest auction of a task, who won, and why."""
        auction = self.client.tasks.auctions(task_id)[-1]
        self.screen.table(
            ("node", "asks per hour", "starts in", "score", ""),
            [
                (
                    self.name(bid.node_id),
                    f"{bid.price_per_hour} USDC",
                    f"{bid.start_seconds:.2f} s",
                    f"{bid.score}",
                    "wins" if bid.won else "",
                )
                for bid in auction.bids
            ],
            marked=self.name(auction.winner),
        )
        winner = self.name(auction.winner)
        if len(auction.bids) > 1:
            why = (
                f"{winner} has the lowest score (price and waiting) and is paid by the second-lowest: "
                f"{auction.price_per_hour} USDC per hour."
            )
        else:
            why = f"{winner} is the only bidder and is paid what it asked: "
            why += f"{auction.price_per_hour} USDC per hour."
        self.screen.say(f"  {why}")

    def settled(self, task_id: str) -> Task:
        """The task once all of its money has moved.

        Raises:
            WaitTimeout: it has not, after a minute.
        """
        deadline = time.monotonic() + _SETTLED_PATIENCE_S
        while True:
            task = self.client.tasks.get(task_id)
            if task.settled and all(lease.settlement == "closed" for lease in task.leases):
                return task
            if time.monotonic() > deadline:
                raise WaitTimeout(f"{task_id} is not settled after {_SETTLED_PATIENCE_S:g} s")
            time.sleep(_LOOK_INTERVAL_S)

    def show_balances(self, before: Money, after: Money) -> None:
        """Everybody's money before and after."""
        rows = [
            ("client, available", before.available, after.available),
            ("client, in escrow", before.locked, after.locked),
            *(
                (f"{self.name(peer_id)}'s wallet", amount, after.wallets[peer_id])
                for peer_id, amount in before.wallets.items()
            ),
            ("treasury (fees)", before.treasury, after.treasury),
        ]
        self.screen.table(
            ("USDC", "before", "after", "change"),
            [
                (name, format_usdc(old), format_usdc(new), signed(new - old))
                for name, old, new in rows
            ],
        )


def signed(micro_usdc: int) -> str:
    """A change of money, with its sign."""
    sign = "+" if micro_usdc > 0 else "-" if micro_usdc < 0 else ""
    return f"{sign}{format_usdc(abs(micro_usdc))}"


def micro_usdc(amount: Decimal | None) -> int:
    """An amount of the API in micro-USDC; 0 for none."""
    return int((amount or Decimal(0)) * 1_000_000)
