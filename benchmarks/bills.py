"""Generated bills: FOCUS Parquet of a large organization, three billing periods, any number of lines."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

FIRST_DAY, DAYS = date(2025, 7, 1), 90
LAST_DAY = FIRST_DAY + timedelta(days=DAYS - 1)
ACCOUNTS, OUS = 400, 24
LINES_A_FILE = 1_000_000
MONTHS = ((date(2025, 7, 1), 31), (date(2025, 8, 1), 31), (date(2025, 9, 1), 28))


def bill_folder(root: Path, lines: int) -> Path:
    """A bill of about so many lines below root, made if it is not there; accounts.csv stands beside it."""
    import duckdb

    folder = root / f"focus-{lines // 1_000_000}m"
    if (folder / "accounts.csv").is_file():
        return folder
    con = duckdb.connect()
    for month, days in MONTHS:
        data = folder / "bill" / "data" / f"BILLING_PERIOD={month:%Y-%m}"
        data.mkdir(parents=True, exist_ok=True)
        count = lines * days // DAYS
        for number, start in enumerate(range(0, count, LINES_A_FILE), 1):
            end = min(count, start + LINES_A_FILE)
            con.execute(_lines_sql(month, days, count, start, end, data / f"bench-{number:05d}.snappy.parquet"))
    rows = [f"{100_000_000_000 + i},account {i},Unit {i % 6}/Team {i % OUS}," for i in range(ACCOUNTS)]
    (folder / "accounts.csv").write_text("\n".join(["account_id,account_name,ou_path,valid_from", *rows, ""]))
    return folder


def _lines_sql(month: date, days: int, count: int, start: int, end: int, file: Path) -> str:
    """Hourly lines in the order of time, as an export has them; every account uses 5 to 24 of the services."""
    return f"""COPY (
        SELECT
            hash(i * 13) % 1000000 / 1e6 AS BilledCost,
            '999999999999' AS BillingAccountId,
            'USD' AS BillingCurrency,
            TIMESTAMP '{month} 00:00:00' AS BillingPeriodStart,
            CASE WHEN hash(i * 3) % 1000 = 0 THEN 'Tax' ELSE 'Usage' END AS ChargeCategory,
            CAST(NULL AS VARCHAR) AS ChargeClass,
            'Usage-Based' AS ChargeFrequency,
            start AS ChargePeriodStart,
            start + INTERVAL 1 HOUR AS ChargePeriodEnd,
            hash(i * 13) % 1000000 / 1.1e6 AS EffectiveCost,
            'i-' || hash(i % 50000) AS ResourceId,
            'Service ' || hash(i * 7 + 1) % (5 + hash(i) % {ACCOUNTS} % 20) AS ServiceName,
            CAST(100000000000 + hash(i) % {ACCOUNTS} AS VARCHAR) AS SubAccountId,
            'account ' || hash(i) % {ACCOUNTS} AS SubAccountName
        FROM (
            SELECT i, TIMESTAMP '{month} 00:00:00' + to_hours(CAST(i * {days * 24} // {count} AS BIGINT)) AS start
            FROM range({start}, {end}) AS lines(i)
        )
    ) TO '{file}' (FORMAT parquet, COMPRESSION snappy)"""


def scale_folder(root: Path, accounts: int, last: date, days: int) -> Path:
    """A bill of an organization, a line a day for each of 12 services of each account, made if it is not there.

    Costs are log-normal, 9 USD on average, less at weekends, with 8 % of noise; three in a day are twenty times as
    much. An OU has 25 accounts.
    """
    import duckdb

    folder = root / f"scale-{accounts}"
    if (folder / "accounts.csv").is_file():
        return folder
    con = duckdb.connect()
    con.execute("SELECT setseed(0.5)")
    con.execute(f"""CREATE TABLE base AS SELECT 100000000000 + a AS account, s AS service,
        exp(1 + 1.6 * sqrt(-2 * ln(random() + 1e-12)) * cos(2 * pi() * random())) AS cost
        FROM range({accounts}) AS accounts(a), range(12) AS services(s)""")
    first = last - timedelta(days=days - 1)
    for month in sorted({(first + timedelta(days=n)).replace(day=1) for n in range(days)}):
        data = folder / "bill" / "data" / f"BILLING_PERIOD={month:%Y-%m}"
        data.mkdir(parents=True, exist_ok=True)
        con.execute(f"""COPY (
            SELECT BilledCost, BilledCost AS EffectiveCost, '999999999999' AS BillingAccountId, * EXCLUDE (BilledCost)
            FROM (SELECT ROUND(cost * CASE WHEN isodow(day) > 5 THEN 0.7 ELSE 1 END * (0.92 + 0.16 * random())
                    * CASE WHEN random() < 3.0 / {accounts * 12} THEN 20 ELSE 1 END, 10) AS BilledCost,
                'USD' AS BillingCurrency,
                TIMESTAMP '{month} 00:00:00' AS BillingPeriodStart, 'Usage' AS ChargeCategory,
                CAST(NULL AS VARCHAR) AS ChargeClass, 'Usage-Based' AS ChargeFrequency, day AS ChargePeriodStart,
                day + INTERVAL 1 DAY AS ChargePeriodEnd, 'Amazon Service ' || service AS ServiceName,
                CAST(account AS VARCHAR) AS SubAccountId, 'account ' || account AS SubAccountName
            FROM base, range(GREATEST(TIMESTAMP '{month}', TIMESTAMP '{first}'),
                LEAST(TIMESTAMP '{month}' + INTERVAL 1 MONTH, TIMESTAMP '{last}' + INTERVAL 1 DAY),
                INTERVAL 1 DAY) AS days(day))
        ) TO '{data / "scale-00001.snappy.parquet"}' (FORMAT parquet, COMPRESSION snappy)""")
    rows = [f"{100_000_000_000 + n},account {n},Unit {n // 250}/Team {n // 25}," for n in range(accounts)]
    (folder / "accounts.csv").write_text("\n".join(["account_id,account_name,ou_path,valid_from", *rows, ""]))
    return folder
