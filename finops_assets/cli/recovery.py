"""`finops restore` and `finops observe`: an earlier version of a day; Dagster's records, rebuilt."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

import click

from finops_assets.cli import common
from finops_assets.cli.errors import FAILED
from finops_assets.cli.running import check_days, execute
from finops_assets.cli.terminal import complain, print_json, print_table, say

if TYPE_CHECKING:
    from finops_assets.core.values import DayVersion


@click.command()
@click.argument("day", type=common.DAY)
@click.option("--version", metavar="VERSION", help="The version to bring back.")
@common.as_json
def restore(day: date, version: str | None, as_json: bool) -> None:
    """List the versions of DAY, or bring one of them back: archive, catalog and dashboard; nothing is mailed."""
    from finops_assets.core.archive.day_currencies import amounts_in_words, exact_total, is_mixed
    from finops_assets.core.archive.recovery import restore_day
    from finops_assets.core.errors import ArchiveError
    from finops_assets.core.schemas import RESTORED_FROM, day_path

    platform = common.open_platform()
    if version is None:
        versions = platform.archive.versions(day)
        if not versions:
            raise ArchiveError("was never archived", where=day_path(day), fix=f"Run `finops run --date {day}`.")
        _show_versions(versions, as_json)
        return
    check_days(platform.settings, day, day)
    published = restore_day(platform.archive, day, version, common.now())
    from finops_assets.defs.keys import REGISTERED, SCORED, SHOWN
    from finops_assets.defs.observe import report_restored, shown_since_restored

    if published.changed:
        report_restored(platform, published)
    # A restore that was interrupted, or whose refresh failed, is finished by the same command again.
    finished = not published.changed and shown_since_restored(platform, published)
    good = finished or execute(platform, day, day, (REGISTERED, SCORED, SHOWN))
    held = RESTORED_FROM in published.metadata
    if as_json:
        figures = {
            "rows": published.rows,
            "total": exact_total(published) if is_mixed(published) else published.total,
            "currency": published.currency,
            "version": published.version,
        }
        print_json({"succeeded": good, "day": day, "changed": published.changed, "held": held, **figures})
    else:
        done = f"restored from version {version}" if published.changed else f"is version {version} already: unchanged"
        amount = f"{common.amount(published.total)} {published.currency}"
        total = f"{amounts_in_words(published) if is_mixed(published) else amount} ({published.cost_basis})"
        say(f"{day} {done}, {total}. Nothing was mailed.")
        if held:
            say(f"It is held as it is until someone runs it by name: `finops run --date {day}`.")
    if not good:
        sys.exit(FAILED)


def _total(metadata: Mapping[str, str]) -> str:
    """What a version comes to, by its metadata; of one in several currencies each."""
    from finops_assets.core.archive.day_currencies import CURRENCIES, parts_of

    if CURRENCIES not in metadata:
        return common.amount(Decimal(metadata["total"]))
    parts = parts_of(metadata["currency"], metadata)
    return " + ".join(f"{common.amount(part.total)} {part.currency}" for part in parts)


def _show_versions(versions: Sequence[DayVersion], as_json: bool) -> None:
    if as_json:
        named = ("rows", "total", "fingerprint", "run_id", "settlement", "restored_from", "restored_at")
        print_json(
            [
                {"version": one.id, "written": one.written.isoformat(), "size": one.size_bytes, "current": one.current}
                | {name: one.metadata[name] for name in named if name in one.metadata}
                for one in versions
            ]
        )
        return
    print_table(
        ("version", "written (UTC)", "rows", "total", "settlement", "current"),
        [
            (
                *(one.id, f"{one.written:%Y-%m-%d %H:%M:%S}", one.metadata.get("rows", "")),
                _total(one.metadata) if one.metadata else "cannot be read",
                *(one.metadata.get("settlement", ""), "yes" if one.current else ""),
            )
            for one in versions
        ],
        right={2, 3},
    )


@click.command()
@common.as_json
def observe(as_json: bool) -> None:
    """Have Dagster know again what is there, where its records are gone: from archive, catalog, dashboard, outbox."""
    from finops_assets.defs.observe import observe as observe_archive

    done = observe_archive(common.open_platform())
    if as_json:
        unreadable = {str(day): why for day, why in done.unreadable.items()}
        print_json({"reported": done.reported, "known": done.known, "unreadable": unreadable})
    else:
        print_table(
            ("asset", "known before", "reported"),
            [(name, done.known[name], number) for name, number in done.reported.items()],
            right={1, 2},
        )
    for why in done.unreadable.values():
        complain(why)
    if done.unreadable:
        sys.exit(FAILED)
