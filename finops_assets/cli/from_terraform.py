"""Terraform's outputs as settings: what `terraform output -json` says is written into finops.toml, the rest is kept.

The module in terraform/ gives the settings that follow from what it made in one output, `settings`, under their names.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from finops_assets.cli.terminal import print_exact, say
from finops_assets.core.errors import SettingsError

COMMAND = "terraform -chdir=terraform output -json | finops settings from-terraform"
OUTPUT = "settings"
KEY = r"[ \t]*(?:{name}|\"{name}\"|'{name}')[ \t]*="


def settings_in(outputs: str) -> dict[str, str]:
    """The settings by name, of what `terraform output -json`, or that command with `settings`, printed.

    Raises:
        SettingsError: it is no JSON, has no such output, or the output is no map of strings.
    """
    where, fix = "the output of Terraform", f"Run `{COMMAND}`, after `terraform apply`."
    try:
        values = json.loads(outputs)
    except ValueError as error:
        raise SettingsError(f"is no JSON ({error})", where=where, fix=fix) from None
    if isinstance(values, dict) and isinstance(values.get(OUTPUT), dict):
        values = values[OUTPUT].get("value")
    if not isinstance(values, dict) or not values or not all(isinstance(value, str) for value in values.values()):
        raise SettingsError(f"has no output {OUTPUT!r} of the module in terraform/", where=where, fix=fix)
    return values


def typed(settings: Mapping[str, str]) -> dict[str, Any]:
    """The same settings with the values that finops.toml has for them: numbers, lists, tables.

    Raises:
        SettingsError: a setting that there is not, that does not take this value, or that is a secret.
    """
    from pydantic import SecretStr, ValidationError

    from finops_assets.core.bill.bill_names import bill_key
    from finops_assets.settings.kinds import shown
    from finops_assets.settings.model import Settings
    from finops_assets.settings.several_bills import with_entries

    nested: dict[str, Any] = {}
    for name, value in settings.items():
        *sections, key = name.split(".")
        _place(nested, sections)[key] = value
    try:
        validated = Settings.model_validate(with_entries(nested, f"Terraform's output {OUTPUT}"))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(part for part in first["loc"] if isinstance(part, str))
        reason = "there is no such setting" if first["type"] == "extra_forbidden" else first["msg"]
        raise SettingsError(
            f"{reason.removeprefix('Value error, ')} ({shown(Settings, name, first['input'])})",
            where=f"{name} (Terraform's output {OUTPUT})",
            fix="Mend `settings` in terraform.tfvars: docs/configuration.md lists what there is.",
        ) from None
    values = {}
    for name in settings:
        *sections, key = name.split(".")
        of: Any = validated
        for section in sections:
            of = of.entries[bill_key(section)] if of is validated.bill else getattr(of, section)
        value = getattr(of, key)
        if isinstance(value, SecretStr):
            raise SettingsError(
                "is a secret, which neither Terraform's state nor this file should hold",
                where=name,
                fix="Take it out of `settings` in terraform.tfvars, and give it in the environment.",
            )
        values[name] = value
    return values


def _place(values: dict[str, Any], sections: Sequence[str]) -> Any:
    """The table of a section, or of a section in one; what stands there where it is no table."""
    place: Any = values
    for section in sections:
        if isinstance(place, dict):
            place = place.setdefault(section, {})
    return place


def written_into(text: str, values: Mapping[str, Any]) -> str:
    """A finops.toml with these settings in it; its other settings, comments and order stay.

    Args:
        text: the file as it is; empty for a new one.
        values: typed settings by name.

    Raises:
        SettingsError: the file is no TOML, or written in a way that is not recognised; nothing is lost then.
    """
    import tomllib

    try:
        wanted = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"is not valid TOML: {error}", where="finops.toml", fix="Mend that line.") from None
    lines = text.splitlines()
    for name, value in values.items():
        section, _, key = name.rpartition(".")
        place = _place(wanted, section.split(".") if section else [])
        if not isinstance(place, dict):
            raise _not_recognised(section)
        plain = tomllib.loads(f"x = {as_toml(value)}")["x"]
        if key in place and place[key] == plain:
            continue
        place[key] = plain
        _set(lines, section, key, f"{key} = {as_toml(value)}")
    result = "\n".join(lines).strip("\n") + "\n"
    try:
        done = tomllib.loads(result) == wanted
    except tomllib.TOMLDecodeError:
        done = False
    if not done:
        raise _not_recognised(", ".join(values))
    return result


def as_toml(value: Any) -> str:
    """One value as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{as_toml(key)} = {as_toml(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(as_toml, value))}]"
    if isinstance(value, str | Path):
        return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
    return value.isoformat()


def _set(lines: list[str], section: str, key: str, line: str) -> None:
    """Put a setting in the place of the one that is there, or at the end of its section."""
    headers = [i for i, each in enumerate(lines) if re.match(r"[ \t]*\[", each) and not _in_a_value(lines, i)]
    if section:
        pattern = rf"[ \t]*\[[ \t]*{section}[ \t]*\]"
        start = next((i for i in headers if re.match(pattern, lines[i])), None)
        if start is None:
            lines += [""] * bool(lines and lines[-1].strip()) + [f"[{section}]", line]
            return
    else:
        start = -1
    end = next((i for i in headers if i > start), len(lines))
    for i in range(start + 1, end):
        if re.match(KEY.format(name=key), lines[i]):
            lines[i : _end_of_value(lines, i, end)] = [line]
            return
    while end > start + 1 and not lines[end - 1].strip():
        end -= 1
    lines.insert(end, line)
    if not section and end + 1 < len(lines) and lines[end + 1].strip():
        lines.insert(end + 1, "")


def _in_a_value(lines: list[str], at: int) -> bool:
    """Whether a line that looks like a header is part of a list over several lines."""
    import tomllib

    try:
        tomllib.loads("\n".join(lines[:at]))
    except tomllib.TOMLDecodeError:
        return True
    return False


def _end_of_value(lines: list[str], start: int, end: int) -> int:
    """The line after the value that begins on this one."""
    import tomllib

    for stop in range(start + 1, end + 1):
        try:
            tomllib.loads("\n".join(lines[start:stop]))
        except tomllib.TOMLDecodeError:
            continue
        return stop
    return start + 1


def _not_recognised(names: str) -> SettingsError:
    return SettingsError(
        "is written in a way that cannot be changed without losing something",
        where=f"finops.toml ({names})",
        fix="Use --print, and put what it prints into the file yourself.",
    )


@click.command("from-terraform")
@click.option("--file", "target", type=click.Path(path_type=Path), help="The file; finops.toml by default.")
@click.option("--print", "only_print", is_flag=True, help="Print the settings as TOML, write nothing.")
@click.argument("outputs", type=click.File(encoding="utf-8"), default="-")
def from_terraform(target: Path | None, only_print: bool, outputs: Any) -> None:
    """Write what Terraform made into finops.toml: terraform output -json | finops settings from-terraform."""
    values = typed(settings_in(outputs.read()))
    if only_print:
        print_exact(written_into("", values).rstrip("\n"))
        return
    file = target or Path(os.environ.get("FINOPS_SETTINGS") or "finops.toml")
    before = file.read_text(encoding="utf-8-sig") if file.is_file() else ""
    after = written_into(before, values)
    if after != before:
        partial = file.with_name(f"{file.name}.new")
        partial.unlink(missing_ok=True)
        partial.touch(0o666 if not file.exists() else 0o600)  # it may hold a password: never open to more than before
        partial.write_text(after, encoding="utf-8")
        if file.exists():
            shutil.copymode(file, partial)
        partial.replace(file)
    for name, value in values.items():
        say(f"{name} = {as_toml(value)}")
    say(f"{file}: {'written' if after != before else 'as it was'}, {len(values)} settings of Terraform's")
