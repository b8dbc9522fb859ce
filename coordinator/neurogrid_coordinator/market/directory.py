"""Who is connected, and what they offer. In memory, bounded by the number of connections."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from neurogrid_marketplace.candidates import Candidates
from neurogrid_marketplace.constraints import least_stake
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.explain import Explanation, explain
from neurogrid_marketplace.messages import Heartbeat, Hello
from neurogrid_marketplace.offer import Offer
from neurogrid_marketplace.spreading import NOBODY, Barred
from neurogrid_marketplace.standing import UNKNOWN, Standing

from .reports import NodeView


class Directory:
    """Node id -> `NodeView`.

    Attributes:
        candidates: the same nodes' offers, as auctions draw from them.
        weights: how often nodes are drawn (`matching.sample`): as their score is.
        suspended: the nodes that are asked for nothing (`reputation.Tally.suspended`).
        understaked: nor are these: they have less than ``min_stake_micro_usdc`` at risk, or nobody has
            looked yet.
    """

    def __init__(self, min_stake_micro_usdc: int = 0) -> None:
        self.candidates = Candidates()
        self.weights: dict[str, int] = {}
        self.suspended: set[str] = set()
        self.understaked: set[str] = set()
        self._min_stake_micro_usdc = min_stake_micro_usdc
        self._gate = (least_stake(min_stake_micro_usdc),) if min_stake_micro_usdc else ()
        self._nodes: dict[str, NodeView] = {}
        self._owned: dict[str, set[str]] = {}

    def __len__(self) -> int:
        return len(self._nodes)

    def __contains__(self, node_id: object) -> bool:
        return node_id in self._nodes

    def join(self, hello: Hello, now_ms: int) -> NodeView:
        """A node has said hello, for the first time or with a changed offer."""
        known = self._nodes.get(hello.offer.node_id)
        since_ms = known.connected_since_ms if known else now_ms
        if known is not None:
            self._disown(known.offer)
        self._owned.setdefault(hello.offer.wallet, set()).add(hello.offer.node_id)
        view = NodeView(
            hello.offer, since_ms, now_ms, hello.leases, known.gpus if known is not None else ()
        )
        self.candidates.put(hello.offer)
        self._nodes[hello.offer.node_id] = view
        self._weigh(hello.offer.node_id)
        return view

    def beat(self, node_id: str, heartbeat: Heartbeat, now_ms: int) -> NodeView:
        """A node said what is free and how its leases are."""
        known = self._nodes[node_id]
        offer = replace(
            known.offer,
            free=heartbeat.free,
            accepting=heartbeat.accepting,
            reclaimable=heartbeat.reclaimable,
        )
        self.candidates.put(offer)
        view = NodeView(offer, known.connected_since_ms, now_ms, heartbeat.leases, heartbeat.gpus)
        self._nodes[node_id] = view
        return view

    def heard(self, node_id: str, now_ms: int) -> None:
        """A node said anything else."""
        self._nodes[node_id] = replace(self._nodes[node_id], last_heard_ms=now_ms)

    def last_heard_ms(self, node_id: str) -> int:
        """When a node said something last."""
        return self._nodes[node_id].last_heard_ms

    def leave(self, node_id: str) -> NodeView:
        """A node's connection has ended; returns what was last known."""
        self.candidates.drop(node_id)
        self.weights.pop(node_id, None)
        self.suspended.discard(node_id)
        self.understaked.discard(node_id)
        view = self._nodes.pop(node_id)
        self._disown(view.offer)
        return view

    def start_factors_permille(self, node_ids: Iterable[str]) -> dict[str, int]:
        """What these nodes' times to start are multiplied by (`calibration`)."""
        return {node_id: self.standing(node_id).start_factor_permille for node_id in node_ids}

    def offers(self) -> list[Offer]:
        """Every node's."""
        return self.candidates.offers()

    def owned_by(self, wallets: Iterable[str]) -> frozenset[str]:
        """The nodes of these owners."""
        return frozenset(node_id for wallet in wallets for node_id in self._owned.get(wallet, ()))

    def stand(self, standings: Mapping[str, Standing]) -> None:
        """Know this of nodes that joined; the standing of one that has left meanwhile is no use."""
        for node_id, standing in standings.items():
            if node_id in self._nodes:
                self.candidates.stand(node_id, standing)
                self._weigh(node_id)
                self.weights[node_id] = standing.score_permille
                if standing.score_permille:
                    self.suspended.discard(node_id)
                else:
                    self.suspended.add(node_id)

    def standing(self, node_id: str) -> Standing:
        """What is known of a node beside its offer."""
        return self.candidates.standings().get(node_id, UNKNOWN)

    def explain(self, demand: Demand, places: Barred = NOBODY) -> Explanation:
        """How a demand meets these nodes; nobody is asked."""
        standings = self.candidates.standings()
        return explain(self.offers(), demand, standings=standings, places=places, gate=self._gate)

    def _weigh(self, node_id: str) -> None:
        if self.standing(node_id).stake_micro_usdc < self._min_stake_micro_usdc:
            self.understaked.add(node_id)
        else:
            self.understaked.discard(node_id)

    def _disown(self, offer: Offer) -> None:
        owned = self._owned[offer.wallet]
        owned.discard(offer.node_id)
        if not owned:
            del self._owned[offer.wallet]
