"""What the numbers mean: budgets, forecasts, deviations, anomalies, episodes, drivers; one scorecard a day.

Nothing here words or draws a report. It may use accounts, bill and archive.

`scoring` brings all together. `budgets`, `events` and `plan` are what is planned, `drivers` is why a day moved.
`judged_costs` are usage, or all of the cost where the bill does not tell it. `forecast` is what a month of them will
cost, of `levels` and `recurring` charges, made to add up by `coherence`; `scheduled` is the rest of it. An anomaly
(`anomalies` says what it is) is found by `detection`: in `cost_series`, by their `deviations`, drawn together by
`episode_builder`, as an `anomaly_history`. `episodes` keeps what was notified; `doubling` asks about days on which the
whole bill has doubled; `day_notes` says what is no anomaly, such as a holiday.
"""
