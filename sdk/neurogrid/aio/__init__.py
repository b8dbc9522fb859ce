"""The client for event loops (asyncio and trio). The synchronous one is generated from these modules: scripts/unasync.py."""
