"""A stand-in AWS over real HTTP: moto, and what moto does not do. Only tests and demonstrations may use it."""

from __future__ import annotations

from finops_assets_tests.aws.server import StandIn

__all__ = ["StandIn"]
