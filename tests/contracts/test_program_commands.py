"""``neurogrid-contracts deploy, upgrade, verify, ...`` against a real ledger process."""

import hashlib
import json
import re
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from solders.pubkey import Pubkey

from contracts.command_chain import SOL, Chain
from contracts.ledger_process import LedgerProcess
from neurogrid_contracts import upgradeable_loader as loader
from neurogrid_contracts.cli.deploying import CHUNK_BYTES, LAMPORTS_PER_SIGNATURE
from neurogrid_contracts.program import elf_bytes, elf_sha256
from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.keystore import KdfParameters, save_keystore


def accepting_elf(instructions: int) -> bytes:
    """A program of this length that accepts everything: an sBPF version 3 ELF."""
    code = bytes.fromhex("b700000000000000") * (instructions - 1) + bytes.fromhex("95") + bytes(7)
    address = 1 << 32
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        b"\x7fELF\x02\x01\x01",
        *(3, 247, 1, address, 64, 0, 3, 64, 56, 1, 0, 0, 0),
    )
    segment = struct.pack("<IIQQQQQQ", 1, 1, 120, address, address, len(code), len(code), 8)
    return header + segment + code


SMALL, CHANGED, LARGE = accepting_elf(100), accepting_elf(101), accepting_elf(400)


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LedgerProcess]:
    options = ("--slot-ms", "50", "--no-fsync", "--no-program")
    with LedgerProcess(tmp_path_factory.mktemp("ledger"), *options) as process:
        yield process


@pytest.fixture
def chain(ledger: LedgerProcess, tmp_path: Path) -> Chain:
    made = Chain(ledger, tmp_path)
    made.key("payer")
    return made


def test_what_is_deployed_verifies_and_something_else_does_not(chain: Chain) -> None:
    deployed = chain.do("deploy")
    assert deployed["sha256"] == elf_sha256()
    assert deployed["room_bytes"] == -(-len(elf_bytes()) * 5 // 4)
    verified = chain.verify(deployed["program"])
    assert (verified.exit_code, elf_sha256() in verified.output) == (0, True), verified.output
    other = chain.verify(deployed["program"], "--elf", chain.elf(SMALL))
    assert other.exit_code == 6, other.output
    assert list((chain.folder / "state").iterdir()) == []


def test_a_rebuild_from_source_verifies_too(chain: Chain) -> None:
    program = chain.do("deploy")["program"]
    verified = chain.verify(program, "--rebuild", "--json")
    assert verified.exit_code == 0, verified.output
    assert json.loads(verified.stdout)["rebuilt_sha256"] == elf_sha256()
    said = chain.verify(program, "--rebuild", "--source", str(chain.folder))
    assert (said.exit_code, "build.py is not there" in said.stderr) == (2, True)


def test_an_upgrade_replaces_the_code_and_makes_room_for_it(chain: Chain) -> None:
    authority = chain.key("authority", 0)
    keys = ("--authority", str(chain.path("authority")))
    program = chain.do("deploy", "--elf", chain.elf(SMALL), *keys)["program"]
    chain.do("upgrade", program, "--elf", chain.elf(CHANGED), *keys)
    assert chain.verify(program, "--elf", chain.elf(CHANGED)).exit_code == 0
    assert chain.verify(program, "--elf", chain.elf(SMALL)).exit_code == 6

    upgraded = chain.do("upgrade", program, "--elf", chain.elf(LARGE), *keys)
    assert upgraded["room_bytes"] == -(-len(SMALL) * 5 // 4) + loader.EXTENSION_BYTES_MIN
    shown = chain.run("show", program, "--url", chain.ledger.url, "--json")
    assert json.loads(shown.stdout)["authority"] == authority.address
    assert json.loads(shown.stdout)["sha256"] == hashlib.sha256(LARGE).hexdigest()


def test_upgrading_to_what_runs_already_costs_nothing(chain: Chain) -> None:
    program = chain.do("deploy", "--elf", chain.elf(SMALL))["program"]
    payer = KeyPair.read_solana_file(chain.path("payer")).address
    before = chain.lamports(payer)
    chain.do("upgrade", program, "--elf", chain.elf(SMALL))
    assert chain.lamports(payer) == before


def test_another_authority_is_refused_by_name_before_anything_is_paid(chain: Chain) -> None:
    owner, thief = chain.key("owner", 0), chain.key("thief", 0)
    program = chain.do("deploy", "--elf", chain.elf(SMALL), "--authority", str(chain.path("owner")))
    said = chain.refused(
        3,
        *("upgrade", program["program"]),
        *("--elf", chain.elf(CHANGED), "--authority", str(chain.path("thief"))),
    )
    assert owner.address in said
    assert thief.address in said


def test_a_final_program_cannot_be_upgraded(chain: Chain) -> None:
    program = chain.do("deploy", "--elf", chain.elf(SMALL))["program"]
    assert "--confirm" in chain.refused(2, "set-authority", program, "--final", "--json", "--yes")
    ended = chain.do("set-authority", program, "--final", "--confirm", program)
    assert ended["authority"] == "none: final"
    assert "is final" in chain.refused(3, "upgrade", program, "--elf", chain.elf(CHANGED))
    assert "is final" in chain.refused(
        3, "set-authority", program, "--to", str(chain.path("payer"))
    )


def test_an_authority_is_handed_over_only_to_a_key_that_exists(chain: Chain) -> None:
    chain.key("new", 0)
    program = chain.do("deploy", "--elf", chain.elf(SMALL))["program"]
    nobody = str(Pubkey([7] * 32))
    said = chain.refused(2, "set-authority", program, "--to-address", nobody, "--json")
    assert f"--confirm {nobody}" in said
    chain.do("set-authority", program, "--to", str(chain.path("new")))
    chain.refused(3, "upgrade", program, "--elf", chain.elf(CHANGED))
    authority = ("--authority", str(chain.path("new")))
    chain.do("upgrade", program, "--elf", chain.elf(CHANGED), *authority)
    handed = ("--to-address", nobody, "--confirm", nobody)
    assert chain.do("set-authority", program, *handed, *authority)["authority"] == nobody


def test_a_buffer_is_written_for_others_and_its_rent_comes_back(chain: Chain) -> None:
    vault = chain.key("vault", 0)
    payer = KeyPair.read_solana_file(chain.path("payer")).address
    written = chain.do("write-buffer", "--elf", chain.elf(SMALL), "--hand-to", vault.address)
    shown = chain.run("show", written["buffer"], "--url", chain.ledger.url, "--json")
    assert json.loads(shown.stdout)["authority"] == vault.address
    assert json.loads(shown.stdout)["sha256"] == hashlib.sha256(SMALL).hexdigest()
    assert vault.address in chain.refused(3, "close-buffer", written["buffer"])

    before = chain.lamports(payer)
    chain.do("close-buffer", written["buffer"], "--authority", str(chain.path("vault")))
    rent = chain.rent(loader.BUFFER_HEADER_BYTES + len(SMALL))
    assert chain.lamports(payer) == before + rent - 2 * LAMPORTS_PER_SIGNATURE
    chain.refused(4, "close-buffer", written["buffer"])


def test_a_given_program_key_and_buffer_key_are_used(chain: Chain) -> None:
    program, buffer = chain.key("program", 0), chain.key("buffer", 0)
    keys = ("--program", str(chain.path("program")), "--buffer", str(chain.path("buffer")))
    deployed = chain.do("deploy", "--elf", chain.elf(SMALL), *keys, "--max-data-len", "4000")
    assert deployed["program"] == program.address
    assert deployed["room_bytes"] == 4000
    assert chain.lamports(buffer.address) == 0
    said = chain.refused(1, "deploy", "--elf", chain.elf(CHANGED), *keys)
    assert "another program is at" in said


@pytest.mark.processes
@pytest.mark.parametrize(
    "answered",
    [
        pytest.param(0, id="creating the buffer"),
        pytest.param(12, id="in the middle of writing"),
        pytest.param(1 + -(-len(elf_bytes()) // CHUNK_BYTES), id="deploying"),
    ],
)
def test_a_deploy_that_is_killed_goes_on_and_pays_for_nothing_twice(
    chain: Chain, answered: int
) -> None:
    payer = KeyPair.read_solana_file(chain.path("payer")).address
    before = chain.lamports(payer)
    chain.kill_within(chain.arguments("deploy"), answered=answered)
    (workplace,) = (chain.folder / "state").iterdir()
    # Reading them also asserts that nobody else can.
    buffer = KeyPair.read_solana_file(workplace / "buffer.json")
    program = KeyPair.read_solana_file(workplace / "program.json")

    deployed = chain.do("deploy")
    assert deployed["program"] == program.address
    assert chain.verify(program.address).exit_code == 0
    assert chain.lamports(buffer.address) == 0
    writes = -(-len(elf_bytes()) // CHUNK_BYTES)
    signatures = 2 + writes + 2
    rent = chain.rent(loader.PROGRAM_BYTES) + chain.rent(
        loader.PROGRAMDATA_HEADER_BYTES + deployed["room_bytes"]
    )
    assert before - chain.lamports(payer) == rent + signatures * LAMPORTS_PER_SIGNATURE


@pytest.mark.processes
def test_a_deploy_that_was_given_up_starts_over(chain: Chain) -> None:
    """Its buffer was closed for the rent, and what is kept of it is out of date."""
    chain.kill_within(chain.arguments("deploy", "--elf", chain.elf(SMALL)), answered=1)
    (workplace,) = (chain.folder / "state").iterdir()
    chain.do("close-buffer", KeyPair.read_solana_file(workplace / "buffer.json").address)
    program = chain.do("deploy", "--elf", chain.elf(SMALL))["program"]
    assert chain.verify(program, "--elf", chain.elf(SMALL)).exit_code == 0


def test_too_little_sol_is_noticed_before_anything_is_sent(chain: Chain) -> None:
    chain.key("poor", SOL // 100)
    result = chain.run(*chain.arguments("deploy", payer="poor"))
    assert result.exit_code == 5, result.output
    assert "0.0100 SOL" in result.stderr


def test_a_program_that_the_runtime_refuses_names_the_way_back_to_the_rent(chain: Chain) -> None:
    """An endless jump out of the code: an ELF, and no program."""
    broken = bytearray(SMALL)
    broken[120:128] = bytes.fromhex("0500ff7f00000000")
    result = chain.run(*chain.arguments("deploy", "--elf", chain.elf(bytes(broken))))
    assert result.exit_code == 1, result.output
    found = re.search(r"close-buffer (\w+) returns", result.stderr)
    assert found is not None, result.stderr
    chain.do("close-buffer", found[1])


def test_an_elf_of_another_machine_is_refused_before_anything_is_paid(chain: Chain) -> None:
    foreign = bytearray(SMALL)
    foreign[18:20] = struct.pack("<H", 62)  # x86-64
    assert "no ELF file for Solana" in chain.refused(
        1, "deploy", "--elf", chain.elf(bytes(foreign))
    )


def test_a_key_file_that_others_may_read_is_refused(chain: Chain) -> None:
    chain.path("payer").chmod(0o644)
    result = chain.run(*chain.arguments("deploy"))
    assert result.exit_code == 1
    assert "chmod 600" in result.stderr


def test_an_encrypted_keystore_pays_too(chain: Chain) -> None:
    key = KeyPair.read_solana_file(chain.path("payer"))
    weak = KdfParameters(memory_kib=7 * 1024, iterations=1, lanes=1)
    save_keystore(chain.path("sealed"), key, "secret", kdf=weak)
    passphrase = chain.folder / "passphrase"
    passphrase.write_text("secret\n")
    passphrase.chmod(0o600)
    sealed = ("--elf", chain.elf(SMALL), "--passphrase-file", str(passphrase))
    assert chain.do("deploy", *sealed, payer="sealed")["authority"] == key.address


def test_another_cluster_than_the_one_named_is_refused(chain: Chain) -> None:
    said = chain.refused(8, "deploy", "--genesis", "EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxPkrZBG")
    assert said.startswith("error: devnet was asked for")


def test_an_account_that_is_no_program_is_not_found(chain: Chain) -> None:
    payer = KeyPair.read_solana_file(chain.path("payer")).address
    assert chain.verify(payer).exit_code == 4
    assert chain.verify(str(Pubkey([9] * 32))).exit_code == 4
    assert chain.verify("no address").exit_code == 2
