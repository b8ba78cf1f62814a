"""AWS behind the roles of `core/ports.py`; imported only where the settings choose AWS.

`session`, `retries` and `polling` serve all others. Bill: `athena`, `staging`, `bill_table`, `warehouse`, `accounts`.
Archive and catalog: `s3`, `glue_tables`, `glue_partitions`. Dashboard: `quicksight/`. Mail and alerts: `mailer`,
`alerts`, `metrics`. `doctor/` checks all of it.
"""
