"""What every section of the settings is: strict, frozen, of clean text."""

from __future__ import annotations

from typing import Any, TypeGuard, get_args

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator

from finops_assets.settings.kinds import is_clean


class Section(BaseModel):
    # An infinite number passes every lower bound, and fails where it is first counted with. Inputs are not printed by
    # pydantic: some are secrets.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True)

    @field_validator("*", mode="before")
    @classmethod
    def _clean(cls, value: Any, info: ValidationInfo) -> Any:
        # A section's settings are looked at one by one, so that the error names the one.
        assert info.field_name  # it is a field's validator
        return value if section_in(cls.model_fields[info.field_name].annotation) else is_clean(value)


def is_section(annotation: Any) -> TypeGuard[type[Section]]:
    """Whether a field holds settings of its own."""
    return isinstance(annotation, type) and issubclass(annotation, Section)


def section_in(annotation: Any) -> type[Section] | None:
    """The section that a field is, or has several of by name; None of a plain setting."""
    return next((each for each in (annotation, *get_args(annotation)) if is_section(each)), None)
