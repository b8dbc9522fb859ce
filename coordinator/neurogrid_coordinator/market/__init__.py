"""The market: a child process that speaks libp2p with the nodes, and `client`, the one door to it.

The child (trio) owns the connections, the directory of nodes and the auctions, all in memory: it has no
database and may die at any time. The api process (asyncio) starts it again, and the nodes reconnect.
"""
