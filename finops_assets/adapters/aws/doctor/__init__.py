"""What the platform on AWS needs of its account: each service and permission that the settings use, tried harmlessly.

Nothing is changed but a probe object below `_staging/doctor/`; the one query is `SELECT 1`, which scans nothing. What
cannot be tried without an effect is listed at the end.
"""
