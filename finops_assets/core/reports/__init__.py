"""What people read: figures and words, charts, digest, dashboard, executive snapshot, CSV.

Nothing here sends or stores. It may use accounts, bill, archive and analytics.

`digest`, `dashboard` and `snapshot` are a package for each report; `charts` has the charts that they share, `drawing`
makes images and PDFs of them, each once.
"""
