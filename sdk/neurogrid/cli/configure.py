"""``neurogrid configure``: addresses and keys, kept as profiles."""

import os
import sys
from pathlib import Path
from typing import BinaryIO

import click

from ..profile import (
    API_KEY_VARIABLE,
    API_URL_VARIABLE,
    NETWORK_VARIABLE,
    WALLET_KEY_VARIABLE,
    find_profile,
)
from ..profiles_file import (
    DEFAULT,
    PROFILE_VARIABLE,
    NamedProfile,
    ProfilesFile,
    profiles_path,
    read_profiles,
    write_profiles,
)
from .output import print_fields, print_json, print_table
from .session import json_option

_KEY_BYTES_MAX = 4096


@click.group(invoke_without_command=True)
@click.option("--api-key", help="Seen by who lists processes: better leave it out and be asked.")
@click.option(
    "--api-key-file", type=click.File("rb"), help="A file with the key; - for standard input."
)
@click.option("--api-url", help=f"Address of the coordinator [{API_URL_VARIABLE}].")
@click.option(
    "--wallet-key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Your wallet's key file, in Solana's format.",
)
@click.option("--profile", "name", help=f"Its name [{PROFILE_VARIABLE}; else default].")
@click.option("--no-check", is_flag=True, help="Do not try whether the key opens anything.")
@json_option
@click.pass_context
def configure(
    ctx: click.Context,
    *,
    api_key: str | None,
    api_key_file: BinaryIO | None,
    api_url: str | None,
    wallet_key: Path | None,
    name: str | None,
    no_check: bool,
    as_json: bool,
) -> None:
    """Keep an address and a key, so that commands and programs find them.

    \b
    neurogrid configure                                    # asks for both
    neurogrid configure --api-key=ng_... --api-url=https://api.example.org
    neurogrid configure --profile work < key.txt --api-key-file -
    neurogrid --help; neurogrid list --profile work

    What is passed goes before NEUROGRID_NETWORK, that before NEUROGRID_API_URL and NEUROGRID_API_KEY, and those before the
    profile. A profile's key is sent to its own address alone.
    """
    if ctx.invoked_subcommand is not None:
        return
    path = profiles_path()
    profiles = read_profiles(path)
    name = name or os.environ.get(PROFILE_VARIABLE) or DEFAULT
    before = profiles.profiles.get(name)
    url = api_url or os.environ.get(API_URL_VARIABLE) or (before.api_url if before else "")
    if not url:
        url = _ask("Address of the coordinator", "--api-url", hidden=False)
    key = api_key or _read_key(api_key_file) or _ask("API key", "--api-key-file", hidden=True)
    found = find_profile(base_url=url, api_key=key, environment={})
    account = None
    if not no_check:
        # Only who tries a key waits for the HTTP stack.
        from ..client import Client

        with Client(api_key=found.api_key, base_url=found.base_url) as client:
            account = client.account()
    kept = str(wallet_key.absolute()) if wallet_key else before.wallet_key if before else ""
    profile = NamedProfile(found.base_url, found.api_key, kept)
    written = profiles.with_profile(name, profile)
    write_profiles(path, written)
    if as_json:
        print_json({"profile": name, "file": str(path), **_plain(profile)})
        return
    if account is not None:
        click.echo(f"The key opens account {account.id} at {found.base_url}.", err=True)
    used = "" if written.current == name else f"; `neurogrid configure use {name}` uses it"
    click.echo(f"Profile {name} is in {path}{used}.", err=True)


@configure.command("list")
@json_option
def list_profiles(*, as_json: bool) -> None:
    """List the profiles; the current one has a star."""
    profiles = read_profiles(profiles_path())
    if as_json:
        named = {name: _plain(each) for name, each in profiles.profiles.items()}
        print_json({"current": profiles.current, "profiles": named})
        return
    if not profiles.profiles:
        click.echo("No profiles. `neurogrid configure` makes one.", err=True)
        return
    print_table(
        ("", "PROFILE", "KEY", "ADDRESS"),
        (
            ("*" if name == profiles.current else "", name, each.hint(), each.api_url)
            for name, each in profiles.profiles.items()
        ),
    )


@configure.command("show")
@click.option("--profile", "name", help="Of this one.")
@json_option
def show(*, name: str | None, as_json: bool) -> None:
    """Show which address and key are used here, and where each comes from."""
    found = find_profile(profile=name)
    source = _source(name, read_profiles(profiles_path()))
    key = f"{found.api_key[:7]}…" if found.api_key else "none: an application's token"
    wallet = str(found.wallet_key) if found.wallet_key else None
    if as_json:
        print_json(
            {"api_url": found.base_url, "api_key": key, "wallet_key": wallet, "from": source}
        )
        return
    print_fields(
        [
            ("address", found.base_url),
            ("key", key),
            ("wallet key", wallet),
            ("from", source),
            ("profiles in", str(profiles_path())),
        ]
    )


@configure.command("use")
@click.argument("name", metavar="PROFILE")
@json_option
def use(*, name: str, as_json: bool) -> None:
    """Use another profile where none is named."""
    path = profiles_path()
    write_profiles(path, read_profiles(path).using(name))
    if as_json:
        print_json({"current": name})
    else:
        click.echo(f"{name} is used from now on.", err=True)


@configure.command("delete")
@click.argument("name", metavar="PROFILE")
@json_option
def delete(*, name: str, as_json: bool) -> None:
    """Forget a profile. Its key goes on: `neurogrid api-keys revoke` ends one."""
    path = profiles_path()
    rest = read_profiles(path).without(name)
    write_profiles(path, rest)
    if as_json:
        print_json({"deleted": name, "current": rest.current})
    else:
        click.echo(f"{name} is forgotten.", err=True)


def _ask(what: str, option: str, *, hidden: bool) -> str:
    if not sys.stdin.isatty():
        raise click.UsageError(f"{what}: give {option}, for nobody is at a terminal to be asked.")
    answer: str = click.prompt(what, hide_input=hidden, err=True)
    return answer.strip()


def _read_key(file: BinaryIO | None) -> str:
    if file is None:
        return ""
    key = file.read(_KEY_BYTES_MAX).decode("ascii", "replace").strip()
    if not key.isascii() or not key.isprintable() or " " in key or not key:
        raise click.BadParameter("the file holds no key", param_hint="--api-key-file")
    return key


def _source(name: str | None, profiles: ProfilesFile) -> str:
    """Where address and key come from, by the order of `find_profile`."""
    environment = os.environ
    if name is not None:
        return f"profile {name}"
    if environment.get(NETWORK_VARIABLE):
        return f"{NETWORK_VARIABLE}: {environment[NETWORK_VARIABLE]}"
    named = [each for each in (API_URL_VARIABLE, API_KEY_VARIABLE) if environment.get(each)]
    if len(named) == 2:
        return " and ".join(named)
    profile = environment.get(PROFILE_VARIABLE) or profiles.current
    rest = f"; {named[0]}" if named else ""
    wallet = f"; {WALLET_KEY_VARIABLE}" if environment.get(WALLET_KEY_VARIABLE) else ""
    return f"profile {profile}{rest}{wallet}"


def _plain(profile: NamedProfile) -> dict[str, str]:
    return {"api_url": profile.api_url, "api_key": profile.hint(), "wallet_key": profile.wallet_key}
