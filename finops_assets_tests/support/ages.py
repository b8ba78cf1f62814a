"""How old data are at a moment, in words written by hand: `core.archive.age` and the dashboard's script say them."""

from __future__ import annotations

from datetime import date, timedelta

SENTENCE = (
    "Data through 30 Sep 2024, 26 months old: 1 Oct 2024 has been due since 2 Oct 2024, 07:00 UTC; "
    "790 days are missing up to 29 Nov 2026."
)


def days(first: str, last: str) -> set[date]:
    start, end = date.fromisoformat(first), date.fromisoformat(last)
    return {start + timedelta(days=n) for n in range((end - start).days + 1)}


BEFORE = "Data through 10 Sep 2025, "
DUE = ": 11 Sep 2025 has been due since 12 Sep 2025, 07:00 UTC; "
IN_2022 = (
    "Data through 10 Sep 2022, 4 years old: 11 Sep 2022 has been due since 12 Sep 2022, 07:00 UTC; "
    "1,541 days are missing up to 29 Nov 2026."
)
CASES = {
    "current": (days("2025-09-01", "2025-09-10"), "2025-09-11T12:00", "", "No day missing"),
    "not due before seven": (days("2025-09-01", "2025-09-10"), "2025-09-12T06:59", "", "1 day missing: 11 Sep"),
    "due at seven": (
        *(days("2025-09-01", "2025-09-10"), "2025-09-12T07:00"),
        f"{BEFORE}2 days old{DUE}1 day is missing up to 11 Sep 2025.",
        "1 day missing: 11 Sep",
    ),
    "57 days": (
        *(days("2025-09-01", "2025-09-10"), "2025-11-08T08:00"),
        f"{BEFORE}59 days old{DUE}58 days are missing up to 7 Nov 2025.",
        "58 days missing: 11 Sep to 7 Nov",
    ),
    "in months from the 61st day on": (
        *(days("2025-09-01", "2025-09-10"), "2025-11-10T08:00"),
        f"{BEFORE}2 months old{DUE}60 days are missing up to 9 Nov 2025.",
        "60 days missing: 11 Sep to 9 Nov",
    ),
    "another year": (
        *(days("2025-09-01", "2025-09-10"), "2026-01-02T08:00"),
        f"{BEFORE}3 months old{DUE}113 days are missing up to 1 Jan 2026.",
        "113 days missing: 11 Sep 2025 to 1 Jan",
    ),
    "26 months": (
        *(days("2024-08-22", "2024-09-30"), "2026-11-30T08:00"),
        SENTENCE,
        "790 days missing: 1 Oct 2024 to 29 Nov",
    ),
    "years": (
        *(days("2022-09-01", "2022-09-10"), "2026-11-30T08:00"),
        IN_2022,
        "1,541 days missing: 11 Sep 2022 to 29 Nov",
    ),
    "holes": (
        *(days("2025-09-01", "2025-09-10") - days("2025-09-03", "2025-09-04"), "2025-09-13T08:00"),
        f"{BEFORE}3 days old{DUE}4 days are missing up to 12 Sep 2025, 2 of them before 10 Sep 2025.",
        "4 days missing: 3 Sep to 4 Sep, 11 Sep to 12 Sep",
    ),
    "many holes": (
        *(days("2025-09-01", "2025-09-10") - {date(2025, 9, n) for n in (2, 4, 6, 8)}, "2025-09-11T08:00"),
        "",
        "4 days missing: 2 Sep, 4 Sep, 6 Sep and 1 more",
    ),
}
"""Which days are archived, when it is asked, the sentence, and how many days are missing; all by hand."""
