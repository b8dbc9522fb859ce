"""``neurogrid completion``."""

import click
from click.shell_completion import get_completion_class

from .output import print_json
from .session import json_option

_LINES = {
    "bash": 'eval "$(neurogrid completion bash)"     # in ~/.bashrc',
    "zsh": 'eval "$(neurogrid completion zsh)"      # in ~/.zshrc',
    "fish": "neurogrid completion fish | source      # in ~/.config/fish/config.fish",
}


@click.command()
@click.argument("shell", type=click.Choice(tuple(_LINES)))
@json_option
@click.pass_context
def completion(ctx: click.Context, *, shell: str, as_json: bool) -> None:
    """Print what completes commands, options and their words in a SHELL.

    \b
    eval "$(neurogrid completion bash)"     # in ~/.bashrc
    eval "$(neurogrid completion zsh)"      # in ~/.zshrc
    neurogrid completion fish | source      # in ~/.config/fish/config.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None, "click knows these three"
    source = kind(ctx.find_root().command, {}, "neurogrid", "_NEUROGRID_COMPLETE").source()
    if as_json:
        print_json(
            {"shell": shell, "line": _LINES[shell].split("     #")[0].rstrip(), "source": source}
        )
    else:
        click.echo(source)
