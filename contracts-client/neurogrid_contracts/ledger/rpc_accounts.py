"""Methods that read accounts and tokens."""

from collections.abc import Callable
from typing import Any

from solders.account import Account
from solders.pubkey import Pubkey

from neurogrid_contracts.ledger.backend import (
    Backend,
    Method,
    read_commitment,
    with_context,
)
from neurogrid_contracts.ledger.encoding import AccountEncoding, encode_account
from neurogrid_contracts.ledger.errors import invalid_params
from neurogrid_contracts.ledger.filters import parse_filters
from neurogrid_contracts.ledger.ledger import Commitment
from neurogrid_contracts.ledger.params import Params, pubkey
from neurogrid_contracts.ledger.tokens import (
    TOKEN_PROGRAMS,
    TokenAccount,
    mint,
    token_account,
    token_amount,
)

# As on a real node.
_ACCOUNTS_PER_CALL_MAX = 100
_LARGEST_ACCOUNTS = 20
# The largest account there can be: 10 MiB.
_ACCOUNT_BYTES_MAX = 10 * 1024 * 1024


def _read(backend: Backend, address: Pubkey, commitment: Commitment) -> Account | None:
    return backend.ledger.account(address, commitment)


def _shown(
    backend: Backend, account: Account | None, encoding: AccountEncoding
) -> dict[str, Any] | None:
    if account is None:
        return None
    return encode_account(account, encoding, backend.ledger.svm.account)


def _owned(
    backend: Backend, program: Pubkey, commitment: Commitment
) -> list[tuple[Pubkey, Account]]:
    return backend.ledger.program_accounts(program, commitment)


def get_balance(backend: Backend, params: Params) -> Any:
    address = params.pubkey(0)
    commitment = read_commitment(backend, params.options(1))
    account = _read(backend, address, commitment)
    return with_context(backend, commitment, 0 if account is None else account.lamports)


def get_account_info(backend: Backend, params: Params) -> Any:
    address = params.pubkey(0)
    options = params.options(1)
    commitment = read_commitment(backend, options)
    account = _read(backend, address, commitment)
    shown = _shown(backend, account, options.account_encoding())
    return with_context(backend, commitment, shown)


def get_multiple_accounts(backend: Backend, params: Params) -> Any:
    names = params.array(0, "pubkeys", count_max=_ACCOUNTS_PER_CALL_MAX)
    options = params.options(1)
    commitment = read_commitment(backend, options)
    encoding = options.account_encoding("base64")
    accounts = [
        _shown(backend, _read(backend, pubkey(name, "pubkeys"), commitment), encoding)
        for name in names
    ]
    return with_context(backend, commitment, accounts)


def get_program_accounts(backend: Backend, params: Params) -> Any:
    program = params.pubkey(0)
    options = params.options(1)
    commitment = read_commitment(backend, options)
    encoding = options.account_encoding()
    filters = parse_filters(options.raw("filters"))
    found = [
        {"pubkey": str(address), "account": _shown(backend, account, encoding)}
        for address, account in _owned(backend, program, commitment)
        if all(passes(account) for passes in filters)
    ]
    if options.flag("withContext"):
        return with_context(backend, commitment, found)
    return found


def get_minimum_balance_for_rent_exemption(backend: Backend, params: Params) -> Any:
    data_bytes = params.integer(0, "data length", high=_ACCOUNT_BYTES_MAX)
    params.options(1).commitment()
    return backend.ledger.svm.rent_exempt_lamports(data_bytes)


def get_token_account_balance(backend: Backend, params: Params) -> Any:
    address = params.pubkey(0)
    commitment = read_commitment(backend, params.options(1))
    account = _read(backend, address, commitment)
    if account is None:
        raise invalid_params("could not find account")
    held = token_account(account)
    if held is None:
        raise invalid_params("not a Token account")
    return with_context(
        backend, commitment, token_amount(held.amount, _decimals(backend, held.mint))
    )


def get_token_supply(backend: Backend, params: Params) -> Any:
    address = params.pubkey(0, "mint")
    commitment = read_commitment(backend, params.options(1))
    account = _read(backend, address, commitment)
    if account is None:
        raise invalid_params("could not find mint")
    made = mint(account)
    if made is None:
        raise invalid_params("not a Token mint")
    return with_context(backend, commitment, token_amount(made.supply, made.decimals))


def get_token_accounts_by_owner(backend: Backend, params: Params) -> Any:
    owner = params.pubkey(0, "owner")
    return _token_accounts(backend, params, lambda held: held.owner == owner)


def get_token_accounts_by_delegate(backend: Backend, params: Params) -> Any:
    delegate = params.pubkey(0, "delegate")
    return _token_accounts(backend, params, lambda held: held.delegate == delegate)


def _token_accounts(
    backend: Backend, params: Params, wanted: Callable[[TokenAccount], bool]
) -> Any:
    selection = params.mapping(1, "mint or programId")
    options = params.options(2)
    commitment = read_commitment(backend, options)
    encoding = options.account_encoding()
    programs: tuple[Pubkey, ...] = TOKEN_PROGRAMS
    only_mint: Pubkey | None = None
    if selection.get("mint") is not None:
        only_mint = pubkey(selection["mint"], "mint")
    elif selection.get("programId") is not None:
        programs = (pubkey(selection["programId"], "programId"),)
    else:
        raise invalid_params("expected an object with mint or programId")
    found = []
    for program in programs:
        for address, account in _owned(backend, program, commitment):
            held = token_account(account)
            if held is not None and wanted(held) and only_mint in (None, held.mint):
                found.append(
                    {"pubkey": str(address), "account": _shown(backend, account, encoding)}
                )
    return with_context(backend, commitment, found)


def get_token_largest_accounts(backend: Backend, params: Params) -> Any:
    token_mint = params.pubkey(0, "mint")
    commitment = read_commitment(backend, params.options(1))
    mint_account = _read(backend, token_mint, commitment)
    if mint_account is None or mint(mint_account) is None:
        raise invalid_params("not a Token mint")
    decimals = _decimals(backend, token_mint)
    holdings = []
    for address, account in _owned(backend, mint_account.owner, commitment):
        held = token_account(account)
        if held is not None and held.mint == token_mint:
            holdings.append((held.amount, str(address)))
    holdings.sort(key=lambda holding: (-holding[0], holding[1]))
    largest = [
        {"address": address, **token_amount(amount, decimals)}
        for amount, address in holdings[:_LARGEST_ACCOUNTS]
    ]
    return with_context(backend, commitment, largest)


def _decimals(backend: Backend, token_mint: Pubkey) -> int:
    account = backend.ledger.svm.account(token_mint)
    made = None if account is None else mint(account)
    return 0 if made is None else made.decimals


METHODS = {
    "getAccountInfo": Method(get_account_info, 2),
    "getBalance": Method(get_balance, 2),
    "getMinimumBalanceForRentExemption": Method(get_minimum_balance_for_rent_exemption, 2),
    "getMultipleAccounts": Method(get_multiple_accounts, 2),
    "getProgramAccounts": Method(get_program_accounts, 2),
    "getTokenAccountBalance": Method(get_token_account_balance, 2),
    "getTokenAccountsByDelegate": Method(get_token_accounts_by_delegate, 3),
    "getTokenAccountsByOwner": Method(get_token_accounts_by_owner, 3),
    "getTokenLargestAccounts": Method(get_token_largest_accounts, 2),
    "getTokenSupply": Method(get_token_supply, 2),
}
