"""Settings from finops.toml and the environment; what is wrong is said with its setting, its place and what to do."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import (
    ValidationError,
)

from finops_assets.core.bill.dimension_keys import dimension_value
from finops_assets.core.errors import SettingsError
from finops_assets.settings.bill_section import BillEntry
from finops_assets.settings.kinds import (
    shown,
)
from finops_assets.settings.model import DEFAULT_HOME, Settings
from finops_assets.settings.paths import beside, in_home, refuse_wrong_kinds
from finops_assets.settings.section import is_section
from finops_assets.settings.several_bills import refuse_unknown, settled, with_entries

SETTINGS_FILE = "finops.toml"


ENV_PREFIX = "FINOPS_"


RESERVED_ENV = {"FINOPS_SETTINGS", "FINOPS_DEBUG"}
"""They name another settings file, and ask the command for stack traces; they are no settings."""


def load_settings(
    environ: Mapping[str, str] | None = None, overrides: Mapping[str, Any] | None = None, *, folder: Path | None = None
) -> Settings:
    """The settings in force: defaults, then the demo's own file in the home, then finops.toml, then the environment.

    Args:
        environ: the environment; os.environ by default.
        overrides: settings by dotted name that win over everything, e.g. {"bill.path": "x.csv"}.
        folder: the folder finops.toml is looked for in; the working directory by default.

    Returns:
        The settings; relative paths of a settings file in another folder are paths in that folder.

    Raises:
        SettingsError: an unknown or malformed setting, named as in finops.toml, with where it is set; a home that is
            the folder of finops.toml, or that holds the sample bill's days while another bill is set.
    """
    environ = os.environ if environ is None else environ
    named = environ.get("FINOPS_SETTINGS")
    file = Path(named) if named else (folder or Path()) / SETTINGS_FILE
    if named and not file.is_file():
        raise SettingsError("no such file", where=f"FINOPS_SETTINGS={named}", fix="Name an existing settings file.")
    own: dict[str, Any] = {}
    if file.is_file():
        own = beside({"home": DEFAULT_HOME} | with_entries(_read_toml(file), str(file)), Settings, file)
    from_environment = with_entries(_from_environment(environ), "the environment")
    refuse_unknown(own, from_environment, lambda name: _where(name, file, environ))
    above = _merge(own, from_environment)
    for name, value in (overrides or {}).items():
        above = _merge(above, _nested(name.split("."), value))
    above = settled(above, lambda name: _where(name, file, environ))
    settings = _validated(above, file, environ)
    refuse_wrong_kinds(settings, lambda name: _where(name, file, environ))
    if not settings.mail.everybody:
        raise SettingsError(
            "names nobody, nor does mail.executives, mail.by_ou or mail.by_value",
            where=_where("mail.recipients", file, environ),
            fix="Write at least one address.",
        )
    _refuse_other_dimensions(settings, _where("mail.by_value", file, environ))
    demo_file = settings.home / SETTINGS_FILE
    if not demo_file.is_file():
        return settings
    if file.is_file() and demo_file.samefile(file):
        raise SettingsError(
            f"the home {settings.home} is the folder of your own {SETTINGS_FILE}; the demo empties its home",
            where="home (FINOPS_HOME)",
            fix="Set it to a folder of its own, such as .finops.",
        )
    demo = in_home(_read_toml(demo_file), Settings, settings.home)
    _refuse_mixing(_validated(demo, demo_file, {}), settings)
    return _validated(_merge(demo, above), file, environ)


def _validated(values: dict[str, Any], file: Path, environ: Mapping[str, str]) -> Settings:
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise _explain(error, file, environ) from None


def _refuse_other_dimensions(settings: Settings, where: str) -> None:
    """An edition by a dimension that days do not have could never be made."""
    keys = settings.dimensions.keys
    for text in settings.mail.by_value:
        value = dimension_value(text, keys)
        if value is None or value.key not in keys:
            raise SettingsError(
                f"names {text}, of which dimensions.keys has no key",
                where=where,
                fix=f"Add it to dimensions.keys, which has {', '.join(keys) or 'none'}; or mend the name.",
            )


def _refuse_mixing(demo: Settings, wanted: Settings) -> None:
    """A home that holds the sample bill's days must not receive another bill's: the totals would be of neither."""
    sample = demo.bill.path
    for other in filter(None, (bill.path for bill in wanted.bill.bills)):
        if not sample or Path(sample).resolve().parent == Path(other).resolve().parent:
            continue
        raise SettingsError(
            f"the home {wanted.home} holds the days of the sample bill, which must not mix with those of {other}",
            where="bill.path",
            fix="Set FINOPS_HOME to another folder (say .finops-mine), or delete the home: it held only the demo.",
        )


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    sections = {name for name, f in Settings.model_fields.items() if is_section(f.annotation)}
    for name, value in environ.items():
        if not name.startswith(ENV_PREFIX) or name in RESERVED_ENV:
            continue
        path = name[len(ENV_PREFIX) :].lower().split("__")
        if len(path) == 1 and path[0] in sections:
            raise SettingsError(
                "is a section, not a setting", where=name, fix=f"Write FINOPS_{path[0].upper()}__<KEY>=..."
            )
        part = {"mail.by_ou": "Workloads/Prod", "mail.by_value": "account:team=web"}.get(".".join(path[:2]))
        if part and len(path) > 2:
            raise SettingsError(
                "is one setting, not a section, in the environment",
                where=name,
                fix=f'Write FINOPS_MAIL__{path[1].upper()}=\'{{"{part}": ["lead@example.com"]}}\'.',
            )
        values = _merge(values, _nested(path, value))
    return values


def _nested(path: list[str], value: Any) -> dict[str, Any]:
    for key in reversed(path):
        value = {key: value}
    return value


def _merge(below: dict, above: dict) -> dict:
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"is not valid TOML: {error}", where=str(file), fix="Mend that line.") from None
    except OSError as error:
        raise SettingsError(
            f"cannot be read: {error.strerror}", where=str(file), fix="Check its permissions."
        ) from None


def env_name(setting: str) -> str:
    """`bill.cost_basis` -> `FINOPS_BILL__COST_BASIS`."""
    return ENV_PREFIX + setting.upper().replace(".", "__")


def _explain(error: ValidationError, file: Path, environ: Mapping[str, str]) -> SettingsError:
    first = error.errors(include_url=False)[0]
    names = [part for part in first["loc"] if isinstance(part, str)]  # an index in a list is no part of it
    if names[:2] == ["bill", "entries"]:
        del names[1]  # bill.azure.path, as FINOPS_BILL__AZURE__PATH
    setting = ".".join(names)
    where, sources = _where(setting, file, environ), _sources(setting, environ)
    if first["type"] == "extra_forbidden":
        known = [".".join([*names[:-1], key]) for key in BillEntry.model_fields] if len(names) == 3 else []
        close = difflib.get_close_matches(setting, [*_names(), *known], 1)
        meant = f"Did you mean {env_name(close[0]) if sources else close[0]}? " if close else ""
        return SettingsError("there is no such setting", where=where, fix=f"{meant}docs/configuration.md lists all.")
    if first["type"] == "model_type":
        return SettingsError("is a section, not a setting", where=where, fix=f"Write [{setting}], its settings below.")
    reason = first["msg"].removeprefix("Value error, ").replace("Input should", "it should")
    return SettingsError(
        f"{shown(Settings, setting, first['input'])} is not accepted: {reason}",
        where=where,
        fix="Mend it: docs/configuration.md says what each setting takes.",
    )


def _where(setting: str, file: Path, environ: Mapping[str, str]) -> str:
    """A setting, and where it is set: `bill.path (FINOPS_BILL__PATH)`."""
    sources = _sources(setting, environ)
    source = sources[0] if sources else str(file) if file.is_file() else env_name(setting)
    return f"{setting} ({source})"


def _sources(setting: str, environ: Mapping[str, str]) -> list[str]:
    """The variables that set it, or a part of it."""
    variable = env_name(setting)
    return [name for name in environ if f"{variable}__".startswith(f"{name}__") or name.startswith(f"{variable}__")]


def _names() -> list[str]:
    """Every setting and section, as finops.toml names it."""
    names = list(Settings.model_fields)
    for name, field in Settings.model_fields.items():
        if is_section(field.annotation):
            names += [f"{name}.{key}" for key, of in field.annotation.model_fields.items() if not of.exclude]
    return names
