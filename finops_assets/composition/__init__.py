"""Settings -> adapters: which technology stands behind each role, chosen once. `platform.py` uses it.

No rule of money or mail lives here, and no Dagster. It is the one place that knows both platforms.
"""
