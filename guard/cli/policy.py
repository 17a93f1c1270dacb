"""`guard policy`: lint, show and test policies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from guard.cli.options import JsonOption
from guard.types import Rule

app = typer.Typer(help="Lint, show and test policies.", no_args_is_help=True, rich_markup_mode=None)

Policy = Annotated[str, typer.Argument(help="Policy file, folder, or the name of a shipped policy.")]


@app.command()
def lint(
    policies: Annotated[list[str] | None, typer.Argument(help="Policies; none given: all that ship.")] = None,
) -> None:
    """Validate policies; complaints name file and line."""
    from guard.policy.load import load, resolve

    for reference in policies or _shipped():
        policy = load(reference)
        print(
            f"{resolve(reference)}: {policy.name} {policy.version} is valid ({len(policy.rules)} rules, {policy.digest})"
        )


@app.command()
def show(policy: Policy, as_json: JsonOption = False) -> None:
    """Print a policy as it takes effect, after `extends`."""
    from guard.cli.show import action_style, console, print_json
    from guard.policy.load import load_model, resolve
    from guard.policy.schema import document, to_policy

    model = load_model(resolve(policy))
    effective = to_policy(model)
    if as_json:
        print_json({**document(model), "digest": effective.digest})
        return
    from rich.table import Table

    out = console()
    out.print(f"{effective.name} {effective.version}", style="bold")
    if effective.description:
        out.print(effective.description)
    out.print(f"{effective.digest}\non error: {effective.on_error.label} · otherwise: {effective.otherwise.label}\n")
    checkers = Table("checker", "class", "deadline", "stages", box=None, header_style="bold")
    for checker in effective.checkers:
        checkers.add_row(checker.name, checker.use, f"{checker.timeout:g} s", ", ".join(sorted(checker.stages)))
    out.print(checkers)
    rules = Table("rule", "checker", "stages", "categories", "from", "when", "action", box=None, header_style="bold")
    for rule in effective.rules:
        rules.add_row(
            rule.id,
            rule.checker,
            ", ".join(sorted(rule.stages)),
            ", ".join(sorted(rule.categories)) or "any",
            f"{rule.threshold:g}",
            rule.when or "",
            _action(rule),
            style=action_style(rule.action.label),
        )
    out.print()
    out.print(rules)


@app.command("test")
def run_cases_of(
    policies: Annotated[list[str] | None, typer.Argument(help="Policies; none given: all that ship.")] = None,
) -> None:
    """Run the cases beside policies; exit code 1 when one fails."""
    from guard.cases import run_cases
    from guard.cli.show import console

    out, failed, total = console(), 0, 0
    for reference in policies or _shipped():
        out.print(reference, style="bold")
        for result in run_cases(reference):
            total += 1
            failed += bool(result.problems)
            out.print(
                f"  {'FAIL' if result.problems else 'ok  '}  {result.case.id}", style="red" if result.problems else ""
            )
            for problem in result.problems:
                out.print(f"        {problem}", style="red")
    out.print(f"{total - failed} passed, {failed} failed")
    raise typer.Exit(1 if failed else 0)


@app.command()
def schema(out: Annotated[Path | None, typer.Option("--out", help="Write here instead of printing.")] = None) -> None:
    """Print the JSON Schema of policy files, for editors."""
    from guard.cli.show import print_json
    from guard.policy.editor import policy_schema, schema_text

    if out is None:
        print_json(policy_schema())
    else:
        out.write_text(schema_text(), "utf-8")


def _action(rule: Rule) -> str:
    how = f" ({rule.operator.name})" if rule.action.label == "redact" and rule.operator.name != "replace" else ""
    return rule.action.label + how + (" (shadow)" if rule.mode.value == "shadow" else "")


def _shipped() -> list[Any]:
    from guard import bundled

    return sorted(file.parent for file in bundled.folder("policies").glob("*/policy.yaml"))
