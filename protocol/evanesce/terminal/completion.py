"""Completion for bash and zsh, made from the parser, so that it never lags behind it."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator

__all__ = ["completion_script"]


def _subcommands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in parser._actions:  # argparse has no public way to look into a parser
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def _words(parser: argparse.ArgumentParser) -> list[str]:
    words = [*_subcommands(parser)]
    for action in parser._actions:
        if action.help is argparse.SUPPRESS:
            continue
        words += [option for option in action.option_strings if option.startswith("--")]
        if not action.option_strings and not isinstance(action, argparse._SubParsersAction):
            words += [str(choice) for choice in action.choices or ()]
    return words


def _paths(parser: argparse.ArgumentParser, path: str = "") -> Iterator[tuple[str, list[str]]]:
    yield path.strip(), _words(parser)
    for name, sub in _subcommands(parser).items():
        yield from _paths(sub, f"{path} {name}")


def completion_script(parser: argparse.ArgumentParser, shell: str) -> str:
    """A script to be sourced by the shell."""
    paths = dict(_paths(parser))
    known = " | ".join(shlex.quote(path) for path in paths if path)
    cases = "\n".join(
        f"    {shlex.quote(path)}) words={shlex.quote(' '.join(words))} ;;"
        for path, words in paths.items()
    )
    script = f"""\
_evanesce() {{
  local path="" word words
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    case "${{path:+$path }}$word" in {known}) path="${{path:+$path }}$word" ;; esac
  done
  case "$path" in
{cases}
  esac
  COMPREPLY=($(compgen -W "$words" -- "${{COMP_WORDS[COMP_CWORD]}}"))
}}
complete -o default -F _evanesce evanesce"""
    if shell == "zsh":
        script = f"autoload -Uz compinit bashcompinit && compinit && bashcompinit\n{script}"
    return script
