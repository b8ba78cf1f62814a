"""How the pipeline's records look in the Dagster UI: metadata that answers the on-call's first question."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from finops_assets.core.archive.age import Age
from finops_assets.core.archive.comparable_days import unassigned_percent
from finops_assets.core.archive.day_currencies import exact_of_bill, exact_total, is_mixed
from finops_assets.core.archive.day_dimensions import named_dimensions
from finops_assets.core.archive.provenance import bill_shares
from finops_assets.core.archive.publishing import Archived
from finops_assets.core.archive.registering import Registered
from finops_assets.core.calendar import in_words
from finops_assets.core.delivery.digest_maker import Snapshot
from finops_assets.core.delivery.sent import Sent
from finops_assets.core.money import money, plain
from finops_assets.core.schemas import BILL_DELIVERY, COLUMN_DESCRIPTIONS, RESTORED_FROM, day_location
from finops_assets.core.text import markdown, tidy_lines
from finops_assets.core.values import (
    BillDescription,
    BillShare,
    CatalogDay,
    PublishedDay,
    QueryReceipt,
    Refresh,
    SourceDay,
)

if TYPE_CHECKING:
    import pyarrow as pa

UNKNOWN_SHOWN = 20

EXACT_TOTAL = "exact total"
"""Its value is a text with every digit; `total` is a float to the cent, which the UI plots."""

OUTCOME = "digest, for programs"
"""What became of the digest, as `Sent.as_record` has it; the command prints it."""


def table_schema(schema: pa.Schema) -> dg.TableSchema:
    return dg.TableSchema(
        columns=[dg.TableColumn(f.name, str(f.type), description=COLUMN_DESCRIPTIONS.get(f.name)) for f in schema]
    )


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> dg.MarkdownMetadataValue:
    """A table in which every value is text: pipes and markup in names do not break it."""
    lines = ["| " + " | ".join(map(markdown, header)) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(markdown(str(value)) for value in row) + " |" for row in rows]
    return dg.MetadataValue.md("\n".join(lines))


def check_result(
    name: str,
    fault: str,
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
    metadata: Mapping[str, Any] | None = None,
    asset: dg.AssetKey | None = None,
) -> dg.AssetCheckResult:
    """A check that is green without a fault; names in it are escaped, as Dagster shows descriptions as Markdown.

    `asset` is whose check it is, where the step has checks of several.
    """
    return dg.AssetCheckResult(
        passed=not fault,
        asset_key=asset,
        check_name=name,
        severity=severity,
        description=markdown(fault) or None,
        metadata=metadata or {},
    )


def shown(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata whose texts are harmless and not endless: Dagster shows them as plain text."""
    return {name: tidy_lines(value) if isinstance(value, str) else value for name, value in facts.items()}


def queries(receipts: Sequence[QueryReceipt]) -> dict[str, Any]:
    """What the step's paid queries have taken; nothing where there were none."""
    if not receipts:
        return {}
    price = sum((r.price for r in receipts), Decimal())
    return {
        "queries": len(receipts),
        "data scanned (bytes)": sum(r.scanned_bytes for r in receipts),
        "query time (s)": round(sum(r.seconds for r in receipts), 1),
        "estimated price (USD)": plain(price),
        "queries in detail": markdown_table(
            ("query", "for", "scanned (bytes)", "seconds", "USD"),
            ((r.id, r.purpose, f"{r.scanned_bytes:,}", f"{r.seconds:.1f}", plain(r.price)) for r in receipts),
        ),
        "newest query": dg.MetadataValue.url(receipts[-1].link),
    }


def current_map(name: str, outdated: str) -> dg.AssetCheckResult:
    return check_result(name, outdated, dg.AssetCheckSeverity.WARN)


def bill(description: BillDescription) -> dict[str, Any]:
    updated = description.updated
    facts = {
        **({"newest file": f"{updated:%Y-%m-%d %H:%M} UTC"} if updated else {}),
        "bill format": description.format,
        "bill path": description.path,
        "bill files": description.files,
        "bill size (bytes)": description.size_bytes,
        "bill snapshot": description.snapshot,
        **({"bill deliveries": _deliveries(description)} if description.deliveries else {}),
        "cost bases available": ", ".join(description.cost_bases),
        "columns used": ", ".join(description.columns),
        **({"days in several files": "; ".join(description.warnings)} if description.warnings else {}),
    }
    if not description.bills:
        return shown(facts)
    by_bill = markdown_table(
        ("bill", "format", "path", "files", "size (bytes)", "snapshot", "newest file"),
        (
            (name, of.format, of.path, of.files, f"{of.size_bytes:,}", of.snapshot, of.updated or "")
            for name, of in description.bills.items()
        ),
    )
    return shown(facts) | {"bills": by_bill}


def _deliveries(description: BillDescription) -> str:
    return ", ".join(f"{period}: {delivery}" for period, delivery in description.deliveries.items())


def source_day(day: SourceDay, cost_basis: str) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "bill lines": day.lines,
        "source total": exact_of_bill(day),
        "currency": day.currency,
        "cost basis": cost_basis,
    }
    if day.parts:  # of several currencies there is no sum
        return shown(facts | _by_bill(day.bills))
    facts |= {
        "scheduled charges": plain(day.scheduled),
        "by charge category": ", ".join(f"{name} {money(total)}" for name, total in day.by_category.items()),
    }
    if day.left_out:
        facts["left out"] = ", ".join(
            f"{o.lines} lines, {plain(o.total)} {o.currency or day.currency} ({o.reason})" for o in day.left_out
        )
    return shown(facts | _by_bill(day.bills))


def plotted(amount: Decimal) -> float:
    """An amount as a number that the UI's plots take, to the cent."""
    return float(round(amount, 2))


def _total(published: PublishedDay) -> dict[str, Any]:
    """A day's total, exact and to be plotted; of several currencies there is no number."""
    number = {} if is_mixed(published) else {"total": plotted(published.total)}
    return {**number, EXACT_TOTAL: exact_total(published)}


def stored_day(published: PublishedDay) -> dict[str, Any]:
    """What the day's object says of itself."""
    restored, delivery = published.metadata.get(RESTORED_FROM), published.metadata.get(BILL_DELIVERY)
    of_one_currency = {
        "source total": plain_text(published.metadata["source_total"]),
        "scheduled charges": plain_text(published.metadata["scheduled"]),
        "unassigned share (%)": round(unassigned_percent(published), 2),
    }
    facts = {
        "dagster/partition_row_count": published.rows,
        **_total(published),
        "currency": published.currency,
        "cost basis": published.cost_basis,
        "settlement": published.metadata["settlement"],
        **({} if is_mixed(published) else of_one_currency),
        "path": published.path,
        "version": published.version,
        "size (bytes)": published.size_bytes,
        "fingerprint": published.fingerprint[:16],
        **({"bill delivery": delivery} if delivery else {}),
        **({"dimensions": ", ".join(dimensions)} if (dimensions := named_dimensions(published.metadata)) else {}),
        **({"restored from version": restored} if restored else {}),
        **_by_bill(bill_shares(published.metadata)),
    }
    return shown(facts)


def _by_bill(shares: Sequence[BillShare]) -> dict[str, Any]:
    """What each of several bills has of a day, exact; nothing where there is one bill."""
    if not shares:
        return {}
    rows = ((of.name, of.provider, of.lines, f"{plain(of.total)} {of.currency}".strip()) for of in shares)
    return {"by bill": markdown_table(("bill", "provider", "lines", "total"), rows)}


def archived_day(done: Archived, day: date) -> dict[str, Any]:
    published, unknown = done.published[day], done.unknown[day]
    unit = f"{published.currency}, {published.cost_basis}"
    facts = {
        **stored_day(published),
        "unassigned accounts": len(unknown),
        "changed by this run": published.changed,
        "preview": markdown_table(
            ("OU", "Service", "LinkedAccount", f"DailyCost ({unit})"),
            ((row["ou"], row["service"], row["linkedaccount"], cost(row["dailycost"])) for row in done.largest[day]),
        ),
    }
    if day in done.restated and not is_mixed(published):
        before = done.restated[day].old
        facts |= {"restated from": plain(before), "restated by": plain(published.total - before)}
    if unknown:
        shown = list(unknown.items())[:UNKNOWN_SHOWN]
        facts["accounts without an OU"] = markdown_table(
            ("LinkedAccount", f"DailyCost ({unit})"), ((account, cost(amount)) for account, amount in shown)
        )
    return facts


def cost(amount: float) -> str:
    return money(Decimal(repr(amount)))


def plain_text(amount: str) -> str:
    return plain(Decimal(amount))


def registered_day(done: Registered, day: date) -> dict[str, Any]:
    published = done.archived[day]
    # Of a day without rows an engine may give nothing back at all.
    read_back = done.read.get(day) or CatalogDay(day, day_location(day), 0, Decimal(), 0)
    return {
        "dagster/partition_row_count": read_back.rows,
        **_total(published),
        # Of several currencies it is a checksum, and no money.
        **({} if is_mixed(published) else {"total read back": plain(read_back.total)}),
        "currency": published.currency,
        "cost basis": published.cost_basis,
        "location": read_back.location,
        "newly registered": day in done.new,
    }


def image(picture: bytes, kind: str = "png", words: str = "chart") -> dg.MarkdownMetadataValue:
    """A picture that the UI shows in place; `kind` is its type, as `svg+xml`, and `words` says what it shows."""
    return dg.MetadataValue.md(f"![{words}](data:image/{kind};base64,{b64encode(picture).decode()})")


def snapshot(pages: Snapshot) -> dict[str, Any]:
    facts = {
        "headline": pages.sentence,
        "total": plotted(pages.total),
        EXACT_TOTAL: plain(pages.total),
        "currency": pages.currency,
        "cost basis": pages.cost_basis,
        "path": pages.path,
        "size (bytes)": pages.size_bytes,
        "changed by this run": pages.changed,
    }
    return shown(facts)


def age(of: Age | None) -> dict[str, Any]:
    """Through which day the data are and how many are missing, and how old that is where they are not current."""
    if of is None:
        return {}
    facts: dict[str, Any] = {"data through": str(of.through), "days missing": len(of.missing)}
    return facts | ({"age": of.sentence} if of.sentence else {})


def refresh(done: Refresh) -> dict[str, Any]:
    return {
        "refresh id": done.id,
        "dashboard": link(done.location),
        "rows shown": done.rows,
        "newest day shown": str(done.newest_day),
        **({} if done.total is None else {"total shown": plain(done.total)}),
        **({} if done.expected_rows is None else {"rows expected": done.expected_rows}),
        **shown({name: str(value) for name, value in done.detail.items()}),
    }


def link(location: str) -> dg.MetadataValue:
    return dg.MetadataValue.url(location) if "://" in location else dg.MetadataValue.path(str(Path(location).resolve()))


def passed(name: str, days: Sequence[date], **facts: Any) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True, check_name=name, metadata={"days checked": in_words(days), **facts})


def failed(
    name: str, reasons: Mapping[date, str], severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR
) -> dg.AssetCheckResult:
    """A red check that names the days: a range run evaluates a check once, with no partition of its own."""
    days = sorted(reasons)
    metadata = {
        "days": in_words(days),
        "reasons": markdown_table(("day", "reason"), ((day, reasons[day]) for day in days[:50])),
    }
    return check_result(name, f"{in_words(days)}: {reasons[days[0]]}", severity, metadata)


def warning(name: str, reasons: Mapping[date, str], days: Sequence[date]) -> dg.AssetCheckResult:
    """A check that names the days which it warns of; it holds up nothing."""
    return failed(name, reasons, dg.AssetCheckSeverity.WARN) if reasons else passed(name, days)


def unassigned(name: str, days: Mapping[date, PublishedDay], limit_percent: float) -> dg.AssetCheckResult:
    """A warning where an account map is behind the organization: the money is counted, its owner is not known."""
    over = {
        day: f"{unassigned_percent(published):.1f} % of the cost is Unassigned, the limit is {limit_percent:g} %"
        for day, published in days.items()
        if unassigned_percent(published) > limit_percent
    }
    if over:
        return failed(name, over, dg.AssetCheckSeverity.WARN)
    worst = max(unassigned_percent(published) for published in days.values())
    return passed(name, sorted(days), **{"highest share (%)": round(worst, 2), "limit (%)": limit_percent})


def sent(done: Sent) -> dict[str, Any]:
    """What became of the digest, in words first."""
    facts: dict[str, Any] = {
        "digest": str(done),
        OUTCOME: dg.MetadataValue.json(done.as_record()),
        "messages sent by this run": len(done.deliveries),
    }
    if done.stored is None:
        return facts
    stored = done.stored
    facts |= {
        "subject": stored.subject,
        "revision": stored.revision,
        "total": plotted(stored.total),
        EXACT_TOTAL: plain(stored.total),
        "stored at": stored.path,
        "recipients": ", ".join(stored.recipients),
    }
    if done.deliveries:
        facts["messages"] = "\n".join(d.location for d in done.deliveries)
    if done.changed_days:
        facts["changed days told"] = in_words(sorted(done.changed_days))
    if done.outdated:
        facts["outdated"] = (
            "the day changed after this digest was mailed, by too little for a revision: the next digest tells it "
            "if it moved by more than mail.tell_change_percent"
        )
    return shown(facts)
