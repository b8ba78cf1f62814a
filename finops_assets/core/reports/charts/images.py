"""Charts as images. vl_convert needs no browser; it loads when used, as its first image in a process takes 0.5 s."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any

from finops_assets.core.text import visible


def to_png(spec: Mapping[str, Any], scale: float = 2) -> bytes:
    """The spec as a PNG of `scale` device pixels per CSS pixel. Nothing is loaded from the network."""
    import vl_convert

    return _packed(vl_convert.vegalite_to_png(json.dumps(_drawable(spec)), scale=scale, allowed_base_urls=[]))


def to_svg(spec: Mapping[str, Any]) -> str:
    """The spec as SVG, with its text as text. Nothing is loaded from the network."""
    import vl_convert

    return vl_convert.vegalite_to_svg(json.dumps(_drawable(spec)), allowed_base_urls=[])


def _drawable(part: Any) -> Any:
    """A spec of harmless text: a name with a character that XML does not have makes the renderer end the process."""
    if isinstance(part, str):
        return visible(part)
    if isinstance(part, list | tuple):
        return [_drawable(each) for each in part]
    if isinstance(part, Mapping):
        return {_drawable(name): _drawable(each) for name, each in part.items()}
    return part


def _packed(png: bytes) -> bytes:
    """The same image with its data compressed well: vl_convert hardly does, and a mail is a quarter of the size."""
    parts, pixels, at = [png[:8]], b"", 8
    while at < len(png):
        length = int.from_bytes(png[at : at + 4])
        kind, body = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        at += length + 12
        if kind == b"IDAT":
            pixels += body
            continue
        if kind == b"IEND":
            parts.append(_chunk(b"IDAT", zlib.compress(zlib.decompress(pixels), 6)))
        parts.append(_chunk(kind, body))
    return b"".join(parts)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4) + kind + body + zlib.crc32(kind + body).to_bytes(4)
