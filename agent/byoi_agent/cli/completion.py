"""`byoi completion`: what makes a shell complete commands, options and choices."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from click.shell_completion import (
    ShellComplete,
    add_completion_class,
    get_completion_class,
    split_arg_string,
)

from byoi_agent.cli.options import debug_option

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

SHELLS: Final = ("bash", "zsh", "fish", "powershell")

_PLACES: Final = {
    "bash": "byoi completion bash > ~/.local/share/bash-completion/completions/byoi",
    "zsh": "byoi completion zsh > ~/.zfunc/_byoi    (with ~/.zfunc in fpath, before compinit)",
    "fish": "byoi completion fish > ~/.config/fish/completions/byoi.fish",
    "powershell": "byoi completion powershell >> $PROFILE",
}

_POWERSHELL: Final = """\
Register-ArgumentCompleter -Native -CommandName %(prog_name)s -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $before = $commandAst.ToString()
    $env:%(complete_var)s = "powershell_complete"
    $env:COMP_WORDS = $before
    $env:COMP_WORD = $wordToComplete
    try {
        %(prog_name)s | ForEach-Object {
            $value, $help = $_ -split "`t", 2
            if (-not $help) { $help = $value }
            [System.Management.Automation.CompletionResult]::new(
                $value, $value, "ParameterValue", $help)
        }
    } finally {
        Remove-Item Env:%(complete_var)s, Env:COMP_WORDS, Env:COMP_WORD
    }
}
"""


class PowerShell(ShellComplete):
    """What click does for the other shells: its words come as text, its answers leave as lines."""

    name = "powershell"
    source_template = _POWERSHELL

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before the one that is being typed, and that one."""
        words = split_arg_string(os.environ["COMP_WORDS"])[1:]
        typed = os.environ.get("COMP_WORD", "")
        return words[:-1] if typed and words and words[-1] == typed else words, typed

    def format_completion(self, item: CompletionItem) -> str:
        """The word, and what it means."""
        return f"{item.value}\t{item.help}" if item.help else str(item.value)


def register() -> None:
    """Let click know of PowerShell, before it looks which shell asks."""
    add_completion_class(PowerShell)


@click.command(
    epilog="\b\nInstall it once:\n" + "\n".join(f"  {line}" for line in _PLACES.values())
)
@click.argument("shell", type=click.Choice(SHELLS), required=False)
@debug_option
@click.pass_context
def completion(ctx: click.Context, shell: str | None) -> None:
    """Print the script that makes SHELL complete byoi; the shell in use if it is left out."""
    register()
    root: Any = ctx.find_root().command
    made = get_completion_class(shell or _in_use())
    assert made is not None, "click knows all of them"
    click.echo(made(root, {}, "byoi", "_BYOI_COMPLETE").source())


def _in_use() -> str:
    name = Path(os.environ.get("SHELL", "")).name
    if name in SHELLS:
        return name
    if os.name == "nt":
        return "powershell"
    raise click.UsageError(f"name the shell: byoi completion {'|'.join(SHELLS)}")
