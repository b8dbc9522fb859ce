"""The command group: which commands there are, loaded when they are run, and how they fail.

``neurogrid --help`` imports click and nothing else of weight: names and one-line helps stand here.
"""

import os
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points, version
from typing import Any, Final, NoReturn

import click

from .exit_codes import EPILOG, UNREAD, USAGE, exit_code_of

_SECTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "Jobs": {
        "submit": (".submit:submit", "Submit a container job; wait for it, fetch its files."),
        "list": (".tasks:list_tasks", "List your tasks."),
        "status": (".tasks:status", "Show a task."),
        "task": (
            ".task:task",
            "Ask a model by a task, monitor one, change or execute it; also list, logs, cancel, outputs.",
        ),
        "logs": (".tasks:logs", "Print what a task printed; -f follows."),
        "exec": (".exec:exec_", "Run a command beside a running job."),
        "shell": (".exec:shell", "Open a shell beside a running job."),
        "port-forward": (".port_forward:port_forward", "Reach a running job's port from here."),
        "cancel": (".tasks:cancel", "Cancel tasks; delete those that have ended."),
        "operation": (".operations:operation", "Compute something by name, without an image."),
        "workflow": (".workflows:workflow", "Submit and watch jobs that depend on each other."),
        "batch": (".batches:batch", "Send many jobs together, a few of them at a time."),
        "schedule": (".schedules:schedule", "Run jobs and batches by cron."),
        "keys": (".keys:keys", "Hand out the keys of sealed tasks."),
        "checkpoints": (
            ".checkpoints:checkpoints",
            "List or download what is kept of a task's work.",
        ),
        "events": (".events:events", "List what happens to your account; -f follows."),
        "webhooks": (".webhooks:webhooks", "Have a URL of yours told of what happens."),
        "webhook": (".webhooks:webhooks", "The same as `webhooks`."),
        "artifacts": (".artifacts:artifacts", "Delete files that you have uploaded."),
        "outputs": (".results:outputs", "List or download a task's output files."),
    },
    "Models": {
        "generate": (".generate:generate", "Have a model write a text."),
        "chat": (".chat:chat", "Talk with a model, turn by turn."),
        "image": (".image:image", "Have a model make an image."),
        "transcribe": (".transcribe:transcribe", "Have a model write down what is said."),
        "models": (".models:models", "See which models can be asked for; write a catalogue."),
    },
    "Receipts": {
        "receipt": (".results:receipt", "Fetch a task's signed receipt."),
        "receipts": (".receipts:receipts", "List, download and read the receipts of your tasks."),
        "verify": (".verify:verify", "Check a receipt file; needs no network."),
        "verify-evidence": (".evidence:verify_evidence", "Check the evidence of a challenge."),
    },
    "Market and money": {
        "nodes": (".market:nodes", "List the nodes of the market, or show one."),
        "providers": (".providers:providers", "Find who offers machines."),
        "provider": (
            ".provider_moves:provider",
            "See your machines, what they earn, and your stake; move it.",
        ),
        "reputation": (".market:reputation", "Show a node's score, and what it is made of."),
        "evidence": (".evidence:evidence", "Show what was found out about a node's hardware."),
        "explain": (".market:explain", "Ask how a job would meet the market, before paying."),
        "estimate": (".prices:estimate", "Ask what a job would likely cost, before paying."),
        "prices": (".prices:prices", "Show what jobs have been awarded at."),
        "constraints": (".constraints:constraints", "Show what --where may say, with units."),
        "account": (".account:account", "Show your balance."),
        "funds": (".funds:funds", "Deposit and withdraw; your wallet's key signs here."),
        "billing": (".billing:billing", "See what your tasks cost, and get invoices."),
        "usage": (".figures:usage", "Show what you have used this month, and your limits."),
        "limits": (".limits:limits", "See and set what your account may spend."),
        "stats": (".figures:stats", "Show figures of the market."),
        "resources": (".gpus:resources", "Show the market's GPUs, and how busy they are."),
        "dashboard": (".dashboard:dashboard", "Open the coordinator's dashboard in a browser."),
        "audit": (".audit:audit", "Export who changed what of your account."),
        "errors": (".errors:errors", "See what failed, and write down what you did about it."),
        "api-keys": (".api_keys:api_keys", "List, create, rotate and revoke your API keys."),
        "apps": (".apps:apps", "Register applications, and see what you allow them."),
    },
}
_SECTIONS["Setting up"] = {
    "configure": (".configure:configure", "Keep addresses and keys, as profiles."),
    "completion": (".completion:completion", "Print what completes commands in your shell."),
}
_COMMANDS = {name: entry for section in _SECTIONS.values() for name, entry in section.items()}

_STANDARD_OUTPUT: Final = 1
_GROUP = "neurogrid.commands"
# What commands of other packages do; those we do not know are named by their package.
_ADDED_HELP = {
    "devnet": "Run a whole market on this machine.",
    "wallet": "Keep keys; hold, send, deposit and withdraw money.",
}


class Failed(click.ClickException):
    """A command that failed, with what to do next and its exit code."""

    def __init__(self, error: Exception, exit_code: int, *, as_json: bool) -> None:
        super().__init__(str(error) or type(error).__name__)
        self.error = error
        self.exit_code = exit_code  # type: ignore[misc]  # click reads the instance's
        self._as_json = as_json

    def show(self, file: Any = None) -> None:
        """Print the message and the hint, or the error as JSON to whoever asked for JSON."""
        from .failures import print_failure

        print_failure(self.error, as_json=self._as_json)


class LazyGroup(click.Group):
    """Commands of this package by name, and those that other packages add as entry points."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Ours in the order of the help, then the others."""
        return [*_COMMANDS, *sorted(_added())]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import a command's module.

        Raises:
            click.ClickException: it lacks packages; says how to install them.
        """
        if name in _COMMANDS:
            module, _, attribute = _COMMANDS[name][0].partition(":")
            loaded = getattr(import_module(module, __package__), attribute)
        elif name in (added := _added()):
            try:
                loaded = added[name].load()
            except ModuleNotFoundError as error:
                raise _lacking(name, error) from error
        else:
            return None
        assert isinstance(loaded, click.Command), f"{name} is no command"
        return loaded

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """A command by its name; for one that there is not, the likeliest is named."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = _nearest(args[0], self.list_commands(ctx))
            if not near or near in error.message:
                raise
            words = f"{error.message} Did you mean `neurogrid {near}`?"
            raise click.UsageError(words, error.ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """By section, without importing any of them."""
        sections = {
            title: [(name, text) for name, (_, text) in commands.items()]
            for title, commands in _SECTIONS.items()
        }
        added = [
            (name, _ADDED_HELP.get(name, f"Added by {entry.module.partition('.')[0]}."))
            for name, entry in sorted(_added().items())
        ]
        if added:
            sections["Operating"] = added
        for title, rows in sections.items():
            with formatter.section(title):
                formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; errors of the SDK and of files become messages with an exit code; where nobody
        reads any more, it ends quietly.

        Everything else is a bug, and keeps its traceback.
        """
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except BrokenPipeError:
            _end_unread()
        except ModuleNotFoundError as error:
            # Added commands import what they need when they run; ours need nothing else.
            if ctx.invoked_subcommand not in _added() or (error.name or "").startswith("neurogrid"):
                raise
            raise _lacking(ctx.invoked_subcommand, error) from error
        except Exception as error:
            exit_code = exit_code_of(error)
            if exit_code is None:
                raise
            as_json = bool(ctx.meta.get("neurogrid.json"))
            raise Failed(error, exit_code, as_json=as_json) from error


def _nearest(name: str, names: list[str]) -> str:
    from difflib import get_close_matches

    return next(iter(get_close_matches(name, names, 1)), "")


def _end_unread() -> NoReturn:
    # What is still in the buffer would be written at the end, and that be complained of.
    os.dup2(os.open(os.devnull, os.O_WRONLY), _STANDARD_OUTPUT)
    raise click.exceptions.Exit(UNREAD)


def _lacking(name: str, error: ModuleNotFoundError) -> click.ClickException:
    return click.ClickException(
        f"`neurogrid {name}` needs packages that are not installed "
        f"({error.name}): pip install 'neurogrid[{name}]'"
    )


def _added() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=_GROUP)}


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        click.echo(f"neurogrid {version('neurogrid')}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    epilog=EPILOG,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version.",
)
@click.pass_context
def neurogrid(ctx: click.Context) -> None:
    """Run container jobs on other people's machines, and pay for what they ran.

    Begin with `neurogrid configure`; or set NEUROGRID_API_URL and NEUROGRID_API_KEY, or pass --network network.json.
    """
    # https://no-color.org, https://force-color.org: any value but an empty one.
    if os.environ.get("NO_COLOR"):
        ctx.color = False
    elif os.environ.get("FORCE_COLOR"):
        ctx.color = True


assert USAGE == 2, "click's own code for wrong usage"
