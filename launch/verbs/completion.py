"""`forestpilot completion bash`: a script by which a shell completes verbs, options and the values they may take.

    source <(forestpilot completion bash)              # in ~/.bashrc
    forestpilot completion zsh > ~/.zfunc/_forestpilot # in a folder of $fpath
    forestpilot completion fish > ~/.config/fish/completions/forestpilot.fish

The script holds all words, so that completing asks no Python. Options of parts are those of the usual parts.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

import tyro.conf

from forestpilot.launch.config.options import Option, options_of
from forestpilot.launch.verbs import Verb, get_verb, verb_lines
from forestpilot.sim.errors import ForestPilotError

PROG = "forestpilot"


@dataclass(frozen=True)
class CompletionConfig:
    """Print a script that completes this command: verbs, options, and the values that options may take."""

    shell: Annotated[Literal["bash", "zsh", "fish"], tyro.conf.Positional]
    """Which shell it is for. bash: `source <(forestpilot completion bash)` in ~/.bashrc; zsh: store it as
    `_forestpilot` in a folder of $fpath; fish: store it as ~/.config/fish/completions/forestpilot.fish.
    """


class Words(NamedTuple):
    """What can follow a verb."""

    verb: str
    summary: str
    options: tuple[Option, ...]

    @property
    def flags(self) -> list[str]:
        """All its options."""
        return [flag for option in self.options for flag in option.flags]

    @property
    def choices(self) -> dict[str, tuple[str, ...]]:
        """Values of the options that take one of a few."""
        return {flag: option.choices for option in self.options for flag in option.flags if option.choices}

    @property
    def values(self) -> tuple[str, ...]:
        """What may stand without an option before it, where that is one of a few."""
        return tuple(choice for option in self.options if not option.flags for choice in option.choices)


def run(config: CompletionConfig) -> None:
    """Print the script."""
    make = {"bash": bash_script, "zsh": zsh_script, "fish": fish_script}[config.shell]
    print(make(list(all_words())))


def all_words() -> Iterator[Words]:
    """The words of every verb; a verb whose libraries are missing has none."""
    names = tuple(line.name for line in verb_lines())
    yield Words("help", "show the options of a verb", (Option((), names, True),))
    for line in verb_lines():
        try:
            yield Words(line.name, line.summary, _options(get_verb(line.name)))
        except (ForestPilotError, ImportError):
            yield Words(line.name, line.summary, ())


def _options(verb: Verb) -> tuple[Option, ...]:
    """Options of a verb; of one that makes its config itself those that it tells."""
    if verb.Config is None:
        return verb.options() if verb.options else (Option(("--help",), (), False),)
    options = dict.fromkeys(options_of(verb.Config, verb.presets))
    for form in (verb.forms() if verb.forms else {}).values():
        options |= dict.fromkeys(options_of(form, None))
    return tuple(options)


def bash_script(words: Iterable[Words]) -> str:
    """The script for bash; where nothing is known, files are completed."""
    every = list(words)
    choices, flags = _cases(every, "words='{}'")
    return f"""\
# Completion of {PROG} for bash: source <({PROG} completion bash)
_{PROG}() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} verb=${{COMP_WORDS[1]}} words=
    COMPREPLY=()
    if (( COMP_CWORD == 1 )); then
        words='--help --version {" ".join(one.verb for one in every)}'
    else
        case "$verb $before" in
{choices}
        *) case "$verb $word" in
{flags}
        esac ;;
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o bashdefault -o default -F _{PROG} {PROG}"""


def zsh_script(words: Iterable[Words]) -> str:
    """The script for zsh; where nothing is known, files are completed."""
    every = list(words)
    choices, flags = _cases(every, "offered=({})")
    verbs = "\n".join(f"        {shlex.quote(f'{one.verb}:{one.summary}')}" for one in every)
    return f"""\
#compdef {PROG}
# Completion of {PROG} for zsh: store it as _{PROG} in a folder of $fpath.
_{PROG}() {{
    local -a verbs offered
    verbs=(
{verbs}
    )
    if (( CURRENT == 2 )); then
        _describe verb verbs
        return
    fi
    case "$words[2] $words[CURRENT-1]" in
{choices}
    *) case "$words[2] $PREFIX" in
{flags}
    esac ;;
    esac
    if (( $#offered )); then
        compadd -- $offered
    else
        _files
    fi
}}
compdef _{PROG} {PROG}"""


def fish_script(words: Iterable[Words]) -> str:
    """The script for fish; where nothing is known, files are completed."""
    lines = [f"# Completion of {PROG} for fish: store it as ~/.config/fish/completions/{PROG}.fish"]
    for one in words:
        first = f"complete -c {PROG} -n __fish_use_subcommand -f"
        lines.append(f"{first} -a {one.verb} -d {shlex.quote(one.summary)}")
        then = f"complete -c {PROG} -n '__fish_seen_subcommand_from {one.verb}'"
        for option in one.options:
            given = f" -x -a '{' '.join(option.choices)}'" if option.choices else " -r" * option.takes_value
            for flag in option.flags or ("",):
                lines.append(then + (f" -l {flag.removeprefix('--')}" if flag else "") + given)
    return "\n".join(lines)


def _cases(words: list[Words], line: str) -> tuple[str, str]:
    """Cases of a shell's `case` on a verb and the option before the word, and of one on a verb and the word itself.

    Args:
        words: those of every verb.
        line: what to do in a case; `{}` in it stands for the words that are offered, none of which needs quotes.
    """
    choices = []
    flags = []
    for one in words:
        for flag, names in one.choices.items():
            choices.append(f'        "{one.verb} {flag}") {line.format(" ".join(names))} ;;')
        flags.append(f'        "{one.verb} -"*) {line.format(" ".join(one.flags))} ;;')
        if one.values:
            flags.append(f'        "{one.verb} "*) {line.format(" ".join(one.values))} ;;')
    return "\n".join(choices), "\n".join(flags)


VERB = Verb(CompletionConfig, run)
