"""Shell completion."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from mediamill.cli import _exit


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a script that completes commands, options and kinds.

    \b
    bash:  eval "$(mediamill completion bash)"       in ~/.bashrc
    zsh:   eval "$(mediamill completion zsh)"        in ~/.zshrc
    fish:  mediamill completion fish > ~/.config/fish/completions/mediamill.fish
    """
    made = get_completion_class(shell)
    if made is None:
        raise click.UsageError(f"no completion for {shell}")
    click.echo(made(click.get_current_context().find_root().command, {}, "mediamill", _exit.COMPLETE_VARIABLE).source())


COMMAND = completion
