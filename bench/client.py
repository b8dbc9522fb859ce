"""What a person waits for before anything has happened: the command's start, its size, and what the SDK adds to a request.

Ours is the wheel of this checkout in an environment of its own, as `pip install neurogrid` gives it; Vast.ai's and dstack's commands
stand in theirs (scripts/peers.sh). Commands take turns; the first turn, which writes bytecode, does not count. Size is that of
site-packages without bytecode, since installers differ in when they write it.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import httpx

from neurogrid import Client

from .market import Market
from .report import Figure, beside

_REPOSITORY = Path(__file__).parents[1]
_PEERS = ("vastai", "dstack")
_ROUNDS = 7
_TURNS = 10
_CALLS = 50
_LIMIT_S = 60
_MIB = 1024**2


def measure(market: Market) -> list[Figure]:
    """Sizes, then starts in turns, then calls in turns."""
    for peer in _PEERS:
        subprocess.run([_REPOSITORY / "scripts/peers.sh", peer], check=True)
    with tempfile.TemporaryDirectory(prefix="neurogrid-bench-") as directory:
        ours = Path(directory) / "ours"
        _install(ours, Path(directory) / "wheel")
        print("the command's start ...", flush=True)
        figures = [*_sizes(ours), *_starts(ours, market)]
    print("calls of the SDK ...", flush=True)
    return [*figures, *_overhead(market)]


def _install(environment: Path, wheels: Path) -> None:
    build: list[str | Path] = [
        sys.executable,
        "-m",
        "hatchling",
        "build",
        "--target",
        "wheel",
        "--directory",
        wheels,
    ]
    subprocess.run(build, cwd=_REPOSITORY, check=True, capture_output=True)
    (wheel,) = wheels.glob("*.whl")
    uv = _REPOSITORY / ".venv/bin/uv"
    subprocess.run([uv, "-q", "venv", "--python", sys.executable, environment], check=True)
    install: list[str | Path] = [
        uv,
        "-q",
        "pip",
        "install",
        "--python",
        environment / "bin/python",
        wheel,
    ]
    subprocess.run(install, check=True)


def _sizes(ours: Path) -> list[Figure]:
    mib, packages = _size(ours)
    figures = []
    for peer in _PEERS:
        peer_mib, peer_packages = _size(_REPOSITORY / "build" / peer)
        figures += [
            beside(f"install_mib_beside_{peer}", mib, "MiB", peer, peer_mib, 1),
            beside(f"install_packages_beside_{peer}", packages, "packages", peer, peer_packages, 1),
        ]
    return figures


def _size(environment: Path) -> tuple[float, int]:
    """MiB of an environment's packages, and how many they are."""
    (packages,) = environment.glob("lib/python*/site-packages")
    files = (each for each in packages.rglob("*") if each.is_file() and each.suffix != ".pyc")
    return sum(each.stat().st_size for each in files) / _MIB, len(
        list(packages.glob("*.dist-info"))
    )


def _starts(ours: Path, market: Market) -> list[Figure]:
    command = ours / "bin/neurogrid"
    commands: dict[str, list[str | Path]] = {
        "python": [ours / "bin/python", "-c", "pass"],
        "version": [command, "--version"],
        "help": [command, "--help"],
        "list_help": [command, "list", "--help"],
        "list": [command, "list"],
    }
    for peer in _PEERS:
        commands[peer] = [_REPOSITORY / "build" / peer / "bin" / peer, "--help"]
    with tempfile.TemporaryDirectory(prefix="neurogrid-bench-") as home:
        # No profile, no settings and no notes of earlier starts: what is measured is the program.
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": home,
            "NEUROGRID_API_URL": market.network["api_url"],
            "NEUROGRID_API_KEY": market.network["api_key"],
        }
        took: dict[str, list[float]] = {name: [] for name in commands}
        for turn in range(_ROUNDS + 1):
            for name, words in commands.items():
                began_s = time.perf_counter()
                subprocess.run(
                    words,
                    check=True,
                    env=environment,
                    capture_output=True,
                    cwd=home,
                    timeout=_LIMIT_S,
                )
                if turn:
                    took[name].append((time.perf_counter() - began_s) * 1000)
    ms = {name: median(of) for name, of in took.items()}
    figures = [
        beside(f"cli_{name}_ms", ms[name], "ms", "python -c pass", ms["python"], _ROUNDS)
        for name in ("version", "help", "list_help", "list")
    ]
    for peer in _PEERS:
        name = f"cli_help_ms_beside_{peer}"
        figures.append(beside(name, ms["help"], "ms", f"{peer} --help", ms[peer], _ROUNDS))
    return figures


def _overhead(market: Market) -> list[Figure]:
    """The account, read by the SDK and by httpx alone, which gives JSON: wall time of a call, and this process's CPU."""
    wall_us: dict[str, list[float]] = {"ours": [], "httpx": []}
    cpu_us: dict[str, list[float]] = {"ours": [], "httpx": []}

    def bare() -> object:
        answer = market.api.get("/api/v1/account")
        answer.raise_for_status()
        return answer.json()

    with Client(
        api_key=market.network["api_key"],
        base_url=market.network["api_url"],
        transport=httpx.HTTPTransport(trust_env=False),
    ) as client:
        sides: dict[str, Callable[[], object]] = {"ours": client.account, "httpx": bare}
        for turn in range(_TURNS + 1):
            for name, call in sides.items():
                began_s, cpu_began_s = time.perf_counter(), time.process_time()
                for _ in range(_CALLS):
                    call()
                if turn:
                    wall_us[name].append((time.perf_counter() - began_s) / _CALLS * 1e6)
                    cpu_us[name].append((time.process_time() - cpu_began_s) / _CALLS * 1e6)
    return [
        beside(
            f"sdk_call_{what}_us", median(of["ours"]), "us", "httpx", median(of["httpx"]), _TURNS
        )
        for what, of in (("wall", wall_us), ("cpu", cpu_us))
    ]
