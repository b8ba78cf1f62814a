"""What the numbers mean: budgets, forecasts, deviations, anomalies, episodes, drivers; one scorecard a day.

Nothing here words or draws. It may use accounts, bill and archive.
"""
