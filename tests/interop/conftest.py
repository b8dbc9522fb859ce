"""One ledger process for all suites of a folder: starting it is what takes time."""

from collections.abc import Iterator

import pytest

from contracts.ledger_process import LedgerProcess


@pytest.fixture(scope="session")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LedgerProcess]:
    """As users start it, with slots of 400 ms: web3.js keeps a blockhash for 30 s, half of its life."""
    with LedgerProcess(tmp_path_factory.mktemp("ledger")) as process:
        yield process
