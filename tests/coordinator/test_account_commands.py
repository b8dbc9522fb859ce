"""``neurogrid-coordinator account | key`` on a database, as an operator types them."""

import json
from pathlib import Path

from click.testing import CliRunner
from sqlalchemy import Connection

from coordinator.on_asyncio import on_asyncio
from coordinator.records import wallet
from neurogrid_coordinator.commands import accounts as commands
from neurogrid_coordinator.config import CONFIG_NAME, template
from neurogrid_coordinator.setup import DATABASE_FILE
from neurogrid_coordinator.store import account_limits, accounts
from neurogrid_coordinator.store.accounts import ApiKey
from neurogrid_coordinator.store.database import Database


def typed(group: str, *arguments: str) -> str:
    command = {"account": commands.account, "key": commands.key}[group]
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


@on_asyncio
async def key_of(folder: Path, secret: str) -> ApiKey:
    def find(conn: Connection) -> ApiKey:
        return accounts.find_key(conn, secret, 1)

    async with Database.open(folder / DATABASE_FILE) as database:
        return await database.read(find)


@on_asyncio
async def tier_of(folder: Path, account_id: str) -> str:
    async with Database.open(folder / DATABASE_FILE) as database:
        return await database.read(account_limits.tier_of, account_id)


def test_the_first_key_may_make_others_and_further_ones_what_the_operator_says(
    tmp_path: Path,
) -> None:
    data = ("--data", str(tmp_path))
    made = json.loads(
        typed("account", "create", *data, "--name", "a", "--wallet", wallet("a"), "--json")
    )
    of = ("--account", made["account_id"], "--json")
    usual = json.loads(typed("key", "create", *data, *of))
    given = json.loads(typed("key", "create", *data, *of, "--scope", "keys", "--scope", "read"))
    found = {}
    for name, key in (("first", made), ("usual", usual), ("given", given)):
        found[name] = key_of(tmp_path, key["api_key"]).scopes
    assert found == {
        "first": ("read", "write", "keys"),
        "usual": ("read", "write"),
        "given": ("read", "keys"),
    }
    revoked = typed("key", "revoke", *data, usual["key_id"])
    assert revoked == f"{usual['key_id']} is revoked\n"


def test_roles_are_the_operators_to_give(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path))
    made = json.loads(
        typed(
            "account",
            "create",
            *data,
            *("--name", "a", "--wallet", wallet("a"), "--role", "operator", "--json"),
        )
    )
    assert key_of(tmp_path, made["api_key"]).roles == ("operator",)
    said = typed("account", "roles", *data, made["account_id"], "--role", "client")
    assert said == f"{made['account_id']} may act as client\n"
    assert json.loads(typed("account", "list", *data, "--json"))[0]["roles"] == ["client"]
    of = ("--account", made["account_id"], "--json")
    usual = json.loads(typed("key", "create", *data, *of))
    assert key_of(tmp_path, usual["api_key"]).roles == ("client", "provider")
    given = json.loads(typed("key", "create", *data, *of, "--role", "provider"))
    assert key_of(tmp_path, given["api_key"]).roles == ("provider",)


def test_a_tier_is_one_of_the_configurations_and_of_an_account_that_there_is(
    tmp_path: Path,
) -> None:
    (tmp_path / CONFIG_NAME).write_text(template())
    data = ("--data", str(tmp_path))
    made = json.loads(
        typed("account", "create", *data, "--name", "a", "--wallet", wallet("a"), "--json")
    )
    account_id = made["account_id"]
    assert typed("account", "tier", *data, account_id, "pro") == f"{account_id} has the tier pro\n"
    assert tier_of(tmp_path, account_id) == "pro"
    for wrong, words in (
        ((account_id, "gold"), "has no gold; it has free, pro"),
        (("acct_0", "pro"), "there is no account acct_0"),
    ):
        refused = CliRunner().invoke(commands.account, ["tier", *data, *wrong])
        assert refused.exit_code != 0
        assert words in refused.output
    assert tier_of(tmp_path, account_id) == "pro"
