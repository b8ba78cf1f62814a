"""S3's list of objects as moto gives it, written faster: moto's serializer takes 0.15 ms for each object."""

from __future__ import annotations

from typing import Any
from xml.sax.saxutils import escape

from moto.core.responses import ActionContext, ActionResult
from moto.s3 import responses


class Listing(ActionResult):
    """A result of S3, in moto's own form; of a list, the objects are written here."""

    def execute_result(self, context: ActionContext) -> Any:
        if context.operation_model.name != "ListObjectsV2" or not isinstance(self.result, dict):
            return super().execute_result(context)
        without = ActionResult({**self.result, "Contents": []})
        status, headers, body = without.execute_result(context)
        contents = "".join(f"<Contents>{_members(each)}</Contents>" for each in self.result["Contents"])
        return status, headers, body.replace("<Name>", f"{contents}<Name>", 1)


def _members(each: dict[str, Any]) -> str:
    """An object's elements; those of a list stand one by one, those of a structure within it."""
    written = []
    for name, value in each.items():
        for one in value if isinstance(value, list) else [value]:
            text = _members(one) if isinstance(one, dict) else escape(str(one))
            written.append(f"<{name}>{text}</{name}>")
    return "".join(written)


responses.ActionResult = Listing
