"""All of it, one after the other: what is measured must not be slowed by what else is."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil
import trio

from neurogrid_wallet.errors import WalletError

from ..config import Config
from ..container.spec import BENCHMARK
from ..engines import files_root
from ..key_files import node_peer_id
from ..machine.clock import now_ms
from . import around, machine
from .figures import Run
from .gpus import gpus


def measure(
    config: Config, directory: Path, say: Callable[[str], object], *, is_node_running: bool
) -> Run:
    """Measure everything that can be.

    Args:
        say: told what is being measured.
        is_node_running: beside this, on the same directory.

    Raises:
        OSError: the folder of jobs' files can't be used.
    """
    began_ms = now_ms()
    try:
        node_id = node_peer_id(directory)
    except (OSError, WalletError):
        node_id = BENCHMARK
    files = files_root(config.engine, directory, node_id)
    files.mkdir(mode=0o700, parents=True, exist_ok=True)
    cores = len(os.sched_getaffinity(0))
    say(f"processor ({cores} cores) ...")
    figures = [*machine.processor(cores)]
    say("memory ...")
    figures.append(machine.memory(psutil.virtual_memory().available))
    say(f"disk ({files}) ...")
    figures += machine.disk(files)
    say("GPUs ...")
    figures += trio.run(partial(gpus, config, node_id, is_node_running=is_node_running))
    say("containers ...")
    figures.append(trio.run(around.container, config, node_id))
    say("coordinators ...")
    figures.append(trio.run(around.coordinator, config))
    return Run(began_ms, tuple(figures))
