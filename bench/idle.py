"""What each process costs while nothing happens: private memory, and CPU over a while.

Beside them stand Dask's and Ray's worker, and a Python process that has imported trio and libp2p's crypto and
sleeps: the floor under anything written on them.
"""

import subprocess
import sys
import time
from contextlib import suppress

import psutil

from . import other_workers
from .market import Market
from .report import Figure, beside

_FLOOR = "import trio, neurogrid_p2p.host, time; print('up', flush=True); time.sleep(3600)"
_FLOOR_NAME = "sleeping Python with libp2p"
_MIB = 1024**2


def measure(market: Market, seconds: float) -> list[Figure]:
    """Memory and CPU of each process of the devnet, and of others' workers, over the same seconds."""
    network = market.network
    floor = subprocess.Popen([sys.executable, "-c", _FLOOR], stdout=subprocess.PIPE)
    try:
        assert floor.stdout is not None, "a pipe was asked for"
        floor.stdout.readline()
        with other_workers.running() as workers:
            ours = {
                "node": network["nodes"][0]["pid"],
                "api": network["coordinator"]["api_pid"],
                "market": network["coordinator"]["market_pid"],
                "ledger": network["ledger_pid"],
            }
            processes = {
                # The api's child is the market, which is counted by itself.
                **{name: [psutil.Process(pid)] for name, pid in ours.items()},
                **{name: _tree(pid) for name, pid in workers.items()},
                _FLOOR_NAME: [psutil.Process(floor.pid)],
            }
            before_s = {name: _cpu_s(of) for name, of in processes.items()}
            time.sleep(seconds)
            cpu_pct = {
                name: (_cpu_s(of) - before_s[name]) / seconds * 100
                for name, of in processes.items()
            }
            mib = {name: _private_mib(of) for name, of in processes.items()}
    finally:
        floor.kill()
        floor.wait()
    figures = []
    for name in ours:
        for floor_name in (_FLOOR_NAME, *(workers if name == "node" else ())):
            suffix = (
                "" if floor_name is _FLOOR_NAME else "_beside_" + floor_name.split("'")[0].lower()
            )
            figures += [
                beside(
                    f"idle_{name}_mib{suffix}", mib[name], "MiB", floor_name, mib[floor_name], 1
                ),
                beside(
                    f"idle_{name}_cpu_pct{suffix}",
                    cpu_pct[name],
                    "%",
                    floor_name,
                    cpu_pct[floor_name],
                    1,
                ),
            ]
    return figures


def _tree(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def _private_mib(processes: list[psutil.Process]) -> float:
    total = 0
    for process in processes:
        # A worker may have ended one of its own meanwhile.
        with suppress(psutil.NoSuchProcess):
            total += process.memory_full_info().uss
    return total / _MIB


def _cpu_s(processes: list[psutil.Process]) -> float:
    total = 0.0
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total
