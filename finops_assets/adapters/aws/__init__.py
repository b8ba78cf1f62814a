"""AWS behind the roles of `core/ports.py`; imported only where the settings choose AWS.

`session`, `retries` and `polling` serve all others. Bill: `athena`, `staging`, `bill_table`, `bill_sources` (with
`bill_listing`, `projected_periods`, `pinned_files`, `bill_view`, `bill_payers`), `summary_view`, `warehouse` and
`accounts`.
Archive and catalog: `s3`, `glue_tables`, `glue_partitions`. Dashboard: `quicksight/`. Mail and alerts: `mailer`,
`alerts`, `metrics`. `doctor/` checks all of it.
"""
