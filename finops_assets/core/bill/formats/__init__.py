"""The bill formats that can be read, one module each. A new one is a module here, and a line in FORMATS."""

from __future__ import annotations

from finops_assets.core.bill.formats.cur import CUR
from finops_assets.core.bill.formats.cur2 import CUR2
from finops_assets.core.bill.formats.focus import FOCUS
from finops_assets.core.bill.formats.summary import SUMMARY

FORMATS = {bill_format.name: bill_format for bill_format in (FOCUS, CUR2, CUR, SUMMARY)}
"""bill.format -> format, in the order in which a bill's columns are held against them."""
