"""Score forecasts and anomalies; exits with 1 if a bar is not met.

`python -m benchmarks.analytics FOLDER`, where FOLDER holds daily_cost_by_project_2017-12_2018-12.csv and its twin by
category (MIT, jupyterhub/binder-billing). Parameters are chosen on the first part of the data (March to August 2018,
the first seeds); bars are for the second, September to December and other seeds. It takes four minutes.
"""

import sys
from pathlib import Path

from benchmarks.analytics import culprits, events, month_ends, organization, sample_bill, scheduled, speed
from benchmarks.analytics.data import long_series, read


def main() -> None:
    """Print the tables of forecasts and anomalies, and the speed."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    series = read(Path(sys.argv[1]))
    real = long_series(series)
    met = [
        *month_ends.score(real),
        *month_ends.score_parents(real),
        *events.score(series),
        *organization.score(),
        *scheduled.score(),
        *sample_bill.score(),
        *culprits.score(),
        *speed.score(real),
    ]
    sys.exit(not all(met))


if __name__ == "__main__":
    main()
