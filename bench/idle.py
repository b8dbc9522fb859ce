"""What each process costs while nothing happens: private memory, and CPU over a while.

Beside it stands a Python process that has imported trio and libp2p's crypto and sleeps: the floor under
anything written on them.
"""

import subprocess
import sys
import time

import psutil

from .market import Market
from .report import Figure, beside

_FLOOR = "import trio, neurogrid_p2p.host, time; print('up', flush=True); time.sleep(3600)"
_MIB = 1024**2


def measure(market: Market, seconds: float) -> list[Figure]:
    """Memory and CPU of each process of the devnet over the same seconds."""
    network = market.network
    floor = subprocess.Popen([sys.executable, "-c", _FLOOR], stdout=subprocess.PIPE)
    try:
        assert floor.stdout is not None, "a pipe was asked for"
        floor.stdout.readline()
        processes = {
            "node": psutil.Process(network["nodes"][0]["pid"]),
            "api": psutil.Process(network["coordinator"]["api_pid"]),
            "market": psutil.Process(network["coordinator"]["market_pid"]),
            "ledger": psutil.Process(network["ledger_pid"]),
            "floor": psutil.Process(floor.pid),
        }
        before = {name: _cpu_s(process) for name, process in processes.items()}
        time.sleep(seconds)
        cpu_pct = {
            name: (_cpu_s(process) - before[name]) / seconds * 100
            for name, process in processes.items()
        }
        private = {
            name: process.memory_full_info().uss / _MIB for name, process in processes.items()
        }
    finally:
        floor.kill()
        floor.wait()
    figures = []
    words = "sleeping Python with libp2p"
    for name in ("node", "api", "market", "ledger"):
        figures.append(beside(f"idle_{name}_mib", private[name], "MiB", words, private["floor"], 1))
        figures.append(
            Figure(
                f"idle_{name}_cpu_pct",
                round(cpu_pct[name], 2),
                "%",
                words,
                round(cpu_pct["floor"], 2),
                None,
                1,
            )
        )
    return figures


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system
