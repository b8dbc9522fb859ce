"""The programs that a ledger starts with."""

import logging

from neurogrid_contracts import program as neurogrid_program
from neurogrid_contracts.ledger.config import LedgerConfig
from neurogrid_contracts.ledger.errors import ProgramInvalid
from neurogrid_contracts.ledger.ledger import Ledger

_log = logging.getLogger(__name__)


def install_programs(ledger: Ledger, config: LedgerConfig) -> None:
    """Install the NeuroGrid program once, and the programs of the command line at every start.

    An installed NeuroGrid program stays as it is, as on a cluster, until the operator upgrades it.

    Raises:
        ProgramInvalid: a file is unreadable, or is no program.
    """
    if config.load_program or config.upgrade_program:
        _install_neurogrid(ledger, upgrade=config.upgrade_program)
    for program_id, path in config.programs:
        try:
            elf = path.read_bytes()
        except OSError as error:
            raise ProgramInvalid(f"{path}: {error.strerror}") from error
        ledger.install_program(program_id, elf)


def _install_neurogrid(ledger: Ledger, *, upgrade: bool) -> None:
    program_id = ledger.genesis.program_id
    packaged = neurogrid_program.elf_bytes()
    installed = ledger.svm.program_elf(program_id)
    if installed == packaged:
        return
    if installed is None or upgrade:
        ledger.install_program(program_id, packaged)
    else:
        _log.warning(
            "the NeuroGrid program at %s is not the packaged one; --upgrade-program replaces it",
            program_id,
        )
