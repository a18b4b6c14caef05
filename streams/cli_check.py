"""`lineage check`: lint policies, scenarios and event schemas. Files arrive; findings with file and line leave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from lineage import policy_check, policy_file
from lineage.errors import BadCall
from lineage.policy_check import Finding
from lineage.policy_references import settings_problems
from lineage.scenario_check import check_scenarios
from streams import settings as settings_module
from streams.cli_words import echo_json, json_option
from streams.render import print_findings


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--deploy", is_flag=True, help="Fail also on settings that the policy needs and does not have.")
@click.option("--settings", "settings_file", type=click.Path(path_type=Path), help="The settings file, by controller.")
@json_option
@click.pass_context
def check(ctx: click.Context, files: tuple[Path, ...], settings_file: Path | None, *, deploy: bool, as_json: bool) -> None:
    """Lint policy and scenario FILES and the event schemas (default: everything).

    Exit code 1 if something is wrong; warnings alone do not count.
    """
    told = settings_module.load()
    settings = told.per_controller() if settings_file is None else read_settings(settings_file)
    found: list[Finding] = []
    for file in files or default_files(told.policies):
        found += _check_file(file, settings, told.policies, deploy=deploy)
    if not files:
        found += policy_check.check_schemas()
    errors = sum(is_error(f) for f in found)
    if as_json:
        rows = [{"file": f.file, "line": f.line, "rule": f.rule, "message": f.message,
                 "severity": "error" if is_error(f) else "warning"} for f in found]  # fmt: skip
        echo_json({"errors": errors, "warnings": len(found) - errors, "findings": rows})
    else:
        print_findings([(f, is_error(f)) for f in found], errors)
    ctx.exit(1 if errors else 0)


def is_error(finding: Finding) -> bool:
    """Tell whether a finding fails the check."""
    return not finding.warning


def default_files(root: Path) -> list[Path]:
    """List the policies of a folder, and its scenarios."""
    statutory = [f for f in (root / "statutory.yaml",) if f.is_file()]
    policies = [root / f"{c}.yaml" for c in policy_file.controllers(root)]
    return [*statutory, *policies, *sorted((root / "scenarios").glob("*.yaml"))]


def _check_file(file: Path, settings: Mapping[str, Any], root: Path, *, deploy: bool) -> Sequence[Finding]:
    if not file.is_file():
        msg = f"{file}: there is no such file"
        raise BadCall(msg)
    content = policy_file.read(file)
    if isinstance(content, Mapping) and "scenarios" in content:
        try:
            return check_scenarios(file, root)
        except (AttributeError, KeyError, TypeError):
            return [
                Finding(
                    str(file), 1, "", "this is not the form of a scenario file: a list under `scenarios`, each with steps and rows"
                )
            ]
    if isinstance(content, Mapping) and "parameters" in content and "controller" not in content:
        return policy_check.check_statutory(file)
    names = policy_file.controllers(root)
    if isinstance(content, Mapping) and content and set(content) <= set(names):
        own = {c: policy_file.read(root / f"{c}.yaml") for c in content}
        return [Finding(str(file), 1, "", f"{c}: {text}") for c in content for text in settings_problems(own[c], content[c] or {})]
    own = settings.get(file.stem) or {}
    return policy_check.check(file, own, deployable=deploy)


def read_settings(file: Path) -> Mapping[str, Any]:
    """Read a settings file, by controller; raise `BadCall` if it is none."""
    if not file.is_file():
        msg = f"{file}: there is no such file"
        raise BadCall(msg)
    content = policy_file.read(file) or {}
    if not isinstance(content, Mapping) or not all(isinstance(v, Mapping) for v in content.values()):
        msg = f"{file}: settings are a mapping of controllers to settings"
        raise BadCall(msg)
    return content


COMMANDS = (check,)
