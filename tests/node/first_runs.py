"""First runs that are killed: run as a program, it forks one for each place at which one can die."""

import json
import os
import signal
import sys
from pathlib import Path

from neurogrid_node.config import ConfigError
from neurogrid_node.key_files import Sealing, Secret, key_of, load_keys
from neurogrid_node.setup import initialise
from neurogrid_wallet import keystore

# What changes a file system, and what opens a file, as Python's audit hooks name it.
_TOUCHES = frozenset({"open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.chmod"})
_PLACES_MAX = 200


def first_run(node: Path, chain: Path, paper: Path, *, encrypted: bool) -> None:
    """A first run by somebody who writes the words down on ``paper``, anew each time they are shown."""

    def write_down(secret: Secret, sealing: Sealing) -> None:
        with paper.open("a") as file:
            file.write(key_of(secret).address + "\n")

    initialise(
        node,
        coordinators=(
            "/ip4/127.0.0.1/tcp/4001/p2p/12D3KooWJWoaqZhDaoEFshF7Rh1bpY9ohihFhzcW6d69Lr2NASuq",
        ),
        chain_file=chain,
        region="local",
        encrypted=encrypted,
        passphrase_file=None,
        back_up=write_down,
    )


def killed_at(place: int, node: Path, chain: Path, paper: Path, *, encrypted: bool) -> bool:
    """Run in a process that is killed when it touches the disk for the ``place``-th time.

    Returns:
        Whether it was killed; else it came to its end.
    """
    process_id = os.fork()
    if process_id == 0:
        touched = 0

        def hook(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal touched
            if event in _TOUCHES and str(arguments[0]).startswith(str(node)):
                touched += 1
                if touched == place:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        first_run(node, chain, paper, encrypted=encrypted)
        os._exit(0)
    _, status = os.waitpid(process_id, 0)
    assert os.waitstatus_to_exitcode(status) in (0, -signal.SIGKILL)
    return os.waitstatus_to_exitcode(status) != 0


def main(folder: Path, chain: Path, *, encrypted: bool) -> None:
    """Kill one at each place, let it be run again, and print what came of each as a line of JSON."""
    keystore.DEFAULT_KDF = keystore.KdfParameters(memory_kib=7 * 1024, iterations=1, lanes=1)
    os.environ["NEUROGRID_PASSPHRASE"] = "correct horse"
    for place in range(1, _PLACES_MAX):
        node, paper = folder / str(place), folder / f"{place}.paper"
        was_killed = killed_at(place, node, chain, paper, encrypted=encrypted)
        try:
            usable = load_keys(node, None).wallet.address
        except ConfigError:
            usable = None
        written_before = paper.read_text().split() if paper.exists() else []
        first_run(node, chain, paper, encrypted=encrypted)
        keys = load_keys(node, None)
        report = {
            "sealed": encrypted,
            "usable": usable,
            "written_before": written_before,
            "written": paper.read_text().split(),
            "wallet": keys.wallet.address,
            "identity": keys.identity.address,
            "files": sorted(path.name for path in node.iterdir()),
        }
        print(json.dumps(report))
        if not was_killed:
            return
    raise AssertionError("a first run never came to its end")


if __name__ == "__main__":
    for sealed in (False, True):
        place = Path(sys.argv[1]) / ("sealed" if sealed else "open")
        place.mkdir()
        main(place, Path(sys.argv[2]), encrypted=sealed)
