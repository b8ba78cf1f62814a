"""The executive snapshot: a day on two A4 pages, for those who read no table of a bill. Pure: figures in, a PDF out.

`content` is what the pages say (`cards`, `ou_table`, `tables`, `reasons`), `specs` are their charts. The PDF is made by
`core.reports.typesetting`, which imports nothing of this: the process that draws is to start at once.
"""

from finops_assets.core.reports.snapshot.content import snapshot_data, snapshot_path
from finops_assets.core.reports.snapshot.specs import snapshot_specs

__all__ = ["snapshot_data", "snapshot_path", "snapshot_specs"]
