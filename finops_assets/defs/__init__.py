"""The Dagster wiring: partitions, assets, checks, jobs and the instance. Thin: the work is in core and adapters."""
