"""Looks at the node's directory: its keys, and room and limits for jobs' files. Blocks for moments."""

import stat
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from neurogrid_wallet.errors import WalletError
from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.keystore import keystore_address

from ...config import CONFIG_NAME
from ...config_check import Mistake, find_mistakes
from ...files.scratch import scratch_folder
from ...files.workspace import Enforcement, Workspaces
from ...key_files import IDENTITY_FILE, OPEN_WALLET_FILE, SEALED_WALLET_FILE
from ...machine.inventory import take_inventory
from ..machine import DiskFacts, KeyFacts, KeyFile, MachineFacts
from ..subject import Subject

_READERS: Final = {
    IDENTITY_FILE: KeyPair.read_solana_file,
    OPEN_WALLET_FILE: KeyPair.read_solana_file,
    # Needs no passphrase, and tells whether the file is whole.
    SEALED_WALLET_FILE: keystore_address,
}


def read_mistakes(subject: Subject) -> tuple[Mistake, ...]:
    """What is wrong with node.toml; nothing where it cannot be read."""
    try:
        return find_mistakes((subject.directory / CONFIG_NAME).read_text())
    except (OSError, UnicodeDecodeError):
        return ()


def read_key_facts(directory: Path) -> KeyFacts:
    """The keys in this directory.

    Raises:
        OSError: the directory cannot be looked into.
    """
    there = [name for name in _READERS if (directory / name).exists()]
    missing = [] if IDENTITY_FILE in there else [IDENTITY_FILE]
    if OPEN_WALLET_FILE not in there and SEALED_WALLET_FILE not in there:
        missing.append(SEALED_WALLET_FILE)
    mode = stat.S_IMODE(directory.stat().st_mode) if directory.exists() else 0o700
    files = tuple(_key_file(directory / name) for name in there)
    return KeyFacts(files, tuple(missing), str(directory), mode)


def _key_file(path: Path) -> KeyFile:
    problem = ""
    try:
        _READERS[path.name](path)
    except WalletError as error:
        problem = str(error)
    return KeyFile(path.name, stat.S_IMODE(path.stat().st_mode), problem)


async def read_disk_facts(subject: Subject) -> DiskFacts:
    """Room where jobs' files lie, and whether each can have a limit: one is made and removed."""
    place = subject.place
    with ExitStack() as stack:
        try:
            # Beside the running node's own, which is not looked into.
            trial = stack.enter_context(scratch_folder(place))
        except OSError as error:
            return DiskFacts(str(place), str(error), 0, "")
        workspaces = await Workspaces.open(trial)
        inventory = await take_inventory(place, gpus=False)
    hard = workspaces.enforcement is Enforcement.HARD
    return DiskFacts(
        str(place), "", inventory.disk_free_bytes, "" if hard else workspaces.reason or "watched"
    )


async def read_machine_facts(subject: Subject) -> MachineFacts:
    """What could be offered."""
    taken = await take_inventory(subject.place, gpus=False)
    return MachineFacts(taken.cpu_cores, taken.memory_bytes, taken.disk_free_bytes)
