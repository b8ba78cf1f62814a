"""Forecasts and anomalies on real and invented daily cost, beside simpler rules: `python -m benchmarks.analytics`."""
