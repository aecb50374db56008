"""`painn-ase completion`: a script that lets the shell complete verbs, options and their choices."""

import argparse

SHELLS = ("bash", "zsh", "fish")


def add_parser(verbs: argparse._SubParsersAction) -> None:
    p = verbs.add_parser(
        "completion",
        help="print a completion script for the shell",
        description="Completion of verbs, options and choices: source <(painn-ase completion bash), in ~/.bashrc say; "
        "for fish, painn-ase completion fish > ~/.config/fish/completions/painn-ase.fish.",
    )
    p.add_argument("shell", choices=SHELLS, help="whose language the script is in")
    p.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    from painn_ase.cli import parser
    from painn_ase.model_files import bundled_models

    words = table(parser())
    models = sorted(bundled_models())
    print(_fish(words, models) if options.shell == "fish" else _bash(words, models, zsh=options.shell == "zsh"))


def table(top: argparse.ArgumentParser) -> dict[str, dict[str, list[str]]]:
    """By verb ("import schnetpack" is one): its options, each with its choices; "" has the verbs alone."""
    found: dict[str, dict[str, list[str]]] = {}
    _collect(top, "", found)
    return found


def _collect(p: argparse.ArgumentParser, name: str, found: dict[str, dict[str, list[str]]]) -> None:
    options: dict[str, list[str]] = {}
    for action in p._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, inner in action.choices.items():
                options[word] = []
                _collect(inner, f"{name} {word}".strip(), found)
        else:
            long = [word for word in action.option_strings if word.startswith("--")]
            choices = [str(choice) for choice in action.choices or ()]
            options |= dict.fromkeys(long, choices) if long else {choice: [] for choice in choices}
    found[name] = options


def _bash(words: dict[str, dict[str, list[str]]], models: list[str], zsh: bool) -> str:
    cases = []
    for verb, options in words.items():
        choices = "".join(
            f"      {verb}:{option}) words={' '.join(values)!r};;\n".replace(f"{verb}:", "", 1)
            for option, values in options.items()
            if values
        )
        inner = f"    case $previous in\n{choices}    esac\n" if choices else ""
        cases.append(f"  '{verb}')\n    words='{' '.join([*options, *(models if verb else [])])}'\n{inner}    ;;")
    verbs = "|".join(sorted({verb.split()[0] for verb in words if verb}))
    dialects = "|".join(verb.split()[1] for verb in words if " " in verb)
    body = "\n".join(cases)
    start = "autoload -U +X bashcompinit && bashcompinit\n" if zsh else ""
    return f"""{start}_painn_ase() {{
  local verb='' word words='' previous=${{COMP_WORDS[COMP_CWORD-1]}} current=${{COMP_WORDS[COMP_CWORD]}}
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    case $word in
      {verbs}) [ -z "$verb" ] && verb=$word;;
      {dialects}) [ "$verb" = import ] && verb="import $word";;
    esac
  done
  case $verb in
{body}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _painn_ase painn-ase"""


def _fish(words: dict[str, dict[str, list[str]]], models: list[str]) -> str:
    lines = [f"complete -c painn-ase -n __fish_use_subcommand -a {verb}" for verb in words[""] if verb[0] != "-"]
    for verb, options in words.items():
        if not verb:
            continue
        seen = " ".join(f"; and __fish_seen_subcommand_from {word}" for word in verb.split()).removeprefix("; and ")
        for option, choices in options.items():
            values = f" -x -a '{' '.join(choices)}'" if choices else ""
            word = f"-l {option[2:]}{values}" if option.startswith("--") else f"-a {option}"
            lines.append(f"complete -c painn-ase -n '{seen}' {word}")
        lines.append(f"complete -c painn-ase -n '{seen}' -a '{' '.join(models)}'")
    return "\n".join(lines)
