"""The errors of `client.MarketClient`.

MarketError
├── MarketAway        the market process is being started or did not answer: try again in a moment
├── NodeUnreachable   the node is not connected: it will be, or its silence will be judged
└── MarketBug         the market process refused the call: our own bug
"""


class MarketError(Exception):
    """Base of every error of the market client."""


class MarketAway(MarketError):
    """The market process is not there now, or did not answer in time; try again in a moment."""


class NodeUnreachable(MarketError):
    """The node is not connected.

    Attributes:
        node_id: which.
    """

    def __init__(self, node_id: str, reason: str) -> None:
        super().__init__(f"{node_id}: {reason}")
        self.node_id = node_id


class MarketBug(MarketError):
    """The market process could not carry out the call; its log has the details."""
