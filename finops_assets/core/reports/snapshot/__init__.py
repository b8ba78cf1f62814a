"""The executive snapshot: a day on two A4 pages, for those who read no table of a bill. Pure: figures in, a PDF out.

`content` is what the pages say (`cards`, `ou_table`, `tables`, `reasons`), `specs` are their charts, and `typesetting`
makes the PDF.
"""

from finops_assets.core.reports.snapshot.content import snapshot_data, snapshot_path
from finops_assets.core.reports.snapshot.specs import snapshot_specs
from finops_assets.core.reports.snapshot.typesetting import load_fonts, to_pdf

__all__ = ["load_fonts", "snapshot_data", "snapshot_path", "snapshot_specs", "to_pdf"]
