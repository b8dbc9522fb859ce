"""Three ways to give an order to one of a hundred nodes: ours, over NATS, over hivemind's DHT.

Each is a process that does as it is told, a line at a time (`lines`), so that `order` can have them
take turns. The last two run in an environment of their own (scripts/peers.sh), and import nothing of ours
but `lines`.
"""
