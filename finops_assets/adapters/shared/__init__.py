"""Technology that both platforms use: the object archive, DuckDB, SMTP, folders.

It knows neither local/ nor aws/.
"""
