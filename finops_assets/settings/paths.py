"""Relative paths of a settings file: they are relative to the folder of that file, wherever the command is run.

Those of the environment and of overrides are relative to the working directory, and never come here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any, TypeGuard, get_args

from pydantic import AfterValidator, BaseModel

from finops_assets.core.errors import SettingsError

_IS_PATH = "a path"


def _is_object_or_file(value: str) -> str:
    if "://" in value and not re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/.*[^/]", value):
        raise ValueError("must be a file of this machine, or an object such as s3://bucket/key")
    return value


def _is_of_this_machine(value: str) -> str:
    if "://" in value:
        raise ValueError("must be a file or a folder of this machine")
    return value


PathText = Annotated[str, _IS_PATH, AfterValidator(_is_object_or_file)]
"""A setting that names a file, or an object as `s3://bucket/key`, or nothing."""

LocalPath = Annotated[str, _IS_PATH, AfterValidator(_is_of_this_machine)]
"""A setting that names a file or a folder, or nothing."""

FILES = ("accounts.path", "currency.rates", "budgets.path", "anomalies.events", "aws.quicksight_permissions")
FOLDERS = ("home", "mail.bounces")
"""Settings that name a file, and a folder; `bill.path` may be either."""


def refuse_wrong_kinds(settings: BaseModel, where: Callable[[str], str]) -> None:
    """Refuse a folder that is set where a file belongs, and a file where a folder does. What is not there may come.

    Args:
        settings: the settings in force.
        where: tells where a setting is set.

    Raises:
        SettingsError: the setting and the path.
    """
    for name in (*FILES, *FOLDERS):
        path = str(attrgetter(name)(settings))
        try:
            wrong = path and (Path(path).is_dir() if name in FILES else Path(path).is_file())
        except OSError:  # a name too long, say
            wrong = False
        if wrong:
            is_, belongs = ("a folder", "a file") if name in FILES else ("a file", "a folder")
            raise SettingsError(
                f"{path} is {is_}, and {belongs} belongs there", where=where(name), fix=f"Set it to {belongs}."
            )


def beside(values: Mapping[str, Any], model: type[BaseModel], file: Path) -> dict[str, Any]:
    """A settings file's values, its relative paths as paths in the file's folder.

    Where that is the working directory, they stay as they are written.
    """
    if file.parent.resolve() == Path.cwd().resolve():
        return dict(values)
    return _with_paths(values, model, lambda path: str(file.parent / path))


def in_home(values: Mapping[str, Any], model: type[BaseModel], home: Path) -> dict[str, Any]:
    """The values of the file that the demo has written into its home, its paths as paths in that home.

    All that it names is in the home. Earlier releases wrote the home's own path before it, relative to the folder in
    which the demo was run.
    """

    def place(path: str) -> str:
        parts = Path(path).parts
        tails = (home.joinpath(*parts[start:]) for start in range(len(parts)))
        return str(next((tail for tail in tails if tail.exists()), home / path))

    return _with_paths(values, model, place)


def _with_paths(values: Mapping[str, Any], model: type[BaseModel], place: Callable[[str], str]) -> dict[str, Any]:
    """The values with each relative path changed; what has the wrong type is left for the validation to refuse."""
    result = dict(values)
    for name, field in model.model_fields.items():
        value = values.get(name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            if isinstance(value, Mapping):
                result[name] = _with_paths(value, field.annotation, place)
        elif (several := _model_of_items(field.annotation)) and isinstance(value, Mapping):
            result[name] = {
                key: _with_paths(item, several, place) if isinstance(item, Mapping) else item
                for key, item in value.items()
            }
        elif (field.annotation is Path or _IS_PATH in field.metadata) and _is_relative(value):
            result[name] = place(value)
    return result


def _model_of_items(annotation: Any) -> type[BaseModel] | None:
    """The model of which a field has several by name; None of any other field."""
    models = (each for each in get_args(annotation) if isinstance(each, type) and issubclass(each, BaseModel))
    return next(models, None)


def _is_relative(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and value != "" and not value.startswith("s3://") and not Path(value).is_absolute()
