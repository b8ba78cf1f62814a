"""Relative paths of a settings file: they are relative to the folder of that file, wherever the command is run.

Those of the environment and of overrides are relative to the working directory, and never come here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel

_IS_PATH = "a path"

PathText = Annotated[str, _IS_PATH]
"""A setting that names a file or a folder, or nothing; some take `s3://bucket/key` too."""


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
        elif (field.annotation is Path or _IS_PATH in field.metadata) and _is_relative(value):
            result[name] = place(value)
    return result


def _is_relative(value: Any) -> bool:
    return isinstance(value, str) and value != "" and not value.startswith("s3://") and not Path(value).is_absolute()
