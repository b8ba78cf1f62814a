"""QuickSight: the dashboard put in place as code (`deployment`), and its data refreshed by each run (`refresh`)."""
