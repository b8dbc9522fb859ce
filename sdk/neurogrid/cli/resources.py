"""The options that say what a job needs and may cost; shared by submit and explain."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import update_wrapper
from typing import Any

import click

from .durations import Duration


@dataclass(frozen=True, slots=True)
class Resources:
    """What the options said; None where nothing was said."""

    cpu: float | None
    ram: float | None
    storage: float | None
    gpu: int | None
    gpu_memory: float | None
    gpu_model: str | None
    max_price: str
    regions: tuple[str, ...]
    where: tuple[str, ...]
    reveal_wallet: bool
    preemptible: bool
    reclaim_window: int | None
    interactive: bool
    hosts: tuple[str, ...]

    @property
    def wants_gpu(self) -> bool:
        """Whether anything about a GPU was asked for."""
        return bool(self.gpu or self.gpu_memory or self.gpu_model)

    def conditions(self) -> str:
        """All that was said about nodes, as one text."""
        if len(self.where) <= 1:
            return "".join(self.where)
        return " and ".join(f"({text})" for text in self.where)

    def preemption(self) -> dict[str, Any]:
        """Whether its node may take the machine back, for the SDK."""
        if self.reclaim_window and not self.preemptible:
            raise click.BadParameter("goes with --preemptible only", param_hint="--reclaim-window")
        return {
            "preemptible": self.preemptible,
            "reclaim_window_seconds": self.reclaim_window or 0,
        }

    def network(self) -> dict[str, Any] | None:
        """Hosts that the job may reach, for the SDK."""
        return {"allow": list(self.hosts)} if self.hosts else None

    def requirements(self) -> dict[str, Any]:
        """For the API: what was not said is left to its defaults."""
        named = {
            "cpu_cores": self.cpu,
            "ram_gb": self.ram,
            "storage_gb": self.storage,
            "gpu_count": self.gpu,
            "gpu_memory_gb": self.gpu_memory,
            "gpu_model": self.gpu_model,
        }
        return {name: value for name, value in named.items() if value is not None}


_OPTIONS = (
    click.option("--cpu", type=float, metavar="CORES", help="CPU cores [default: 1]."),
    click.option("--ram", type=float, metavar="GB", help="Memory [default: 0.5]."),
    click.option("--storage", type=float, metavar="GB", help="Disk it may write [default: 1]."),
    click.option("--gpu", type=int, metavar="COUNT", help="GPUs of one machine."),
    click.option("--gpu-memory", type=float, metavar="GB", help="Least memory of each GPU."),
    click.option("--gpu-model", metavar="TEXT", help='Part of the model name, such as "4090".'),
    click.option(
        "--max-price", required=True, metavar="USDC", help="The most to pay per hour. Required."
    ),
    click.option("--region", "regions", multiple=True, help="Where it may run. Repeatable."),
    click.option(
        "--where",
        multiple=True,
        metavar="CONDITIONS",
        help="What a node has to be, such as 'gpu.memory >= 24GB and score >= 0.8'; "
        "`neurogrid constraints` has the language. Repeatable: all must hold.",
    ),
    click.option(
        "--reveal-wallet",
        is_flag=True,
        help="Let the nodes that are asked know who pays: some take nobody else.",
    ),
    click.option(
        "--preemptible",
        is_flag=True,
        help="Cheaper: its node may take the machine back after a warning, and it starts anew elsewhere.",
    ),
    click.option(
        "--reclaim-window",
        type=Duration(),
        help="With --preemptible: how long that warning has to be at least.",
    ),
    click.option(
        "--interactive",
        is_flag=True,
        help="Let `neurogrid exec` and `shell` into it while it runs; nodes that allow none are not asked.",
    ),
    click.option(
        "--reach",
        "hosts",
        multiple=True,
        metavar="HOST[:PORT]",
        help="A host that the job may reach by HTTP or TLS, such as example.org or '*.example.com:8443'; "
        "none unless said. Repeatable.",
    ),
)


def resource_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options; the command gets ``resources``."""

    def run(*args: Any, **kwargs: Any) -> None:
        said = {name: kwargs.pop(name) for name in Resources.__dataclass_fields__}
        function(*args, resources=Resources(**said), **kwargs)

    command = update_wrapper(run, function)
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
