"""The fixtures of the stand-in's own tests."""

from __future__ import annotations

from standin.fixtures import aws, running

__all__ = ["aws", "running"]
