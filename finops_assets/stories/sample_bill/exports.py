"""Turns the invented organization into a bill: the charges of each day, then the files of both export formats.

The charges are worked out once and laid out twice, so that the formats agree to the last decimal. Only sums,
products and hashes are used, never a random generator or a transcendental function: these give the same doubles
on every machine and with every version of NumPy. This module loads NumPy and Arrow; the package loads it late.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from finops_assets.core.errors import FinopsError
from finops_assets.stories.sample_bill import SampleBill
from finops_assets.stories.sample_bill.organization import (
    ACCOUNTS,
    BILLED,
    BUDGETS,
    CHARGES,
    COMMITMENTS,
    GLOBAL_SERVICES,
    HABITS,
    HOURS,
    MANAGEMENT,
    METERS,
    MOVED,
    MOVED_BEFORE,
    MOVED_TO,
    PRIVATE_DISCOUNT,
    REGION_NAMES,
    SELLERS,
    SERVICES,
    SPIKE_FIRST,
    SPIKE_LAST,
    STORIES,
    USAGE_TYPE_PREFIXES,
    WEEKDAYS,
    Account,
    Charge,
)

BUCKET = "example-billing-exports"
ENTRIES = {"focus", "cur2", "accounts.csv", "budgets.csv", "events.csv"}
COVERED_KINDS = ("SavingsPlanCoveredUsage", "DiscountedUsage")
USAGE_KINDS = ("Usage", *COVERED_KINDS)
RECURRING_KINDS = ("SavingsPlanRecurringFee", "RIFee")
AWS = "Amazon Web Services, Inc."
ON_DEMAND_RATE = "JRTCKXETXF.6YS6EN2CT7"
"""AWS's codes for the On-Demand term and its hourly rate, the same for every SKU."""

INVOICED_AFTER = 5
"""Days after the end of a billing period when its invoice is issued and the lines carry its id."""

FOCUS_COLUMNS = """
    AvailabilityZone BilledCost BillingAccountId BillingAccountName BillingAccountType BillingCurrency
    BillingPeriodEnd BillingPeriodStart CapacityReservationId CapacityReservationStatus ChargeCategory ChargeClass
    ChargeDescription ChargeFrequency ChargePeriodEnd ChargePeriodStart CommitmentDiscountCategory
    CommitmentDiscountId CommitmentDiscountName CommitmentDiscountQuantity CommitmentDiscountType
    CommitmentDiscountUnit CommitmentDiscountStatus ConsumedQuantity ConsumedUnit ContractedCost ContractedUnitPrice
    EffectiveCost InvoiceId InvoiceIssuerName ListCost ListUnitPrice PricingCategory PricingCurrency
    PricingCurrencyContractedUnitPrice PricingCurrencyEffectiveCost PricingCurrencyListUnitPrice PricingQuantity
    PricingUnit ProviderName PublisherName RegionId RegionName ResourceId ResourceName ResourceType ServiceCategory
    ServiceName ServiceSubcategory SkuId SkuMeter SkuPriceId SkuPriceDetails SubAccountId SubAccountName
    SubAccountType Tags x_Discounts x_Operation x_ServiceCode
"""
"""FOCUS 1.2 with AWS columns, in the order of the export."""

FOCUS_TYPES = {
    "double": """
        BilledCost CommitmentDiscountQuantity ConsumedQuantity ContractedCost ContractedUnitPrice EffectiveCost ListCost
        ListUnitPrice PricingCurrencyContractedUnitPrice PricingCurrencyEffectiveCost PricingCurrencyListUnitPrice
        PricingQuantity
    """,
    "timestamp": "BillingPeriodEnd BillingPeriodStart ChargePeriodEnd ChargePeriodStart",
    "map<string,string>": "SkuPriceDetails Tags",
    "map<string,double>": "x_Discounts",
}
"""Glue's types of the columns that are no strings."""

CUR2_COLUMNS = """
    bill_bill_type bill_billing_entity bill_billing_period_end_date bill_billing_period_start_date bill_invoice_id
    bill_invoicing_entity bill_payer_account_id bill_payer_account_name cost_category discount
    discount_bundled_discount discount_total_discount identity_line_item_id identity_time_interval
    line_item_availability_zone line_item_blended_cost line_item_blended_rate line_item_currency_code
    line_item_legal_entity line_item_line_item_description line_item_line_item_type line_item_net_unblended_cost
    line_item_net_unblended_rate line_item_normalization_factor line_item_normalized_usage_amount line_item_operation
    line_item_product_code line_item_resource_id line_item_tax_type line_item_unblended_cost line_item_unblended_rate
    line_item_usage_account_id line_item_usage_account_name line_item_usage_amount line_item_usage_end_date
    line_item_usage_start_date line_item_usage_type pricing_currency pricing_lease_contract_length
    pricing_offering_class pricing_public_on_demand_cost pricing_public_on_demand_rate pricing_purchase_option
    pricing_rate_code pricing_rate_id pricing_term pricing_unit product product_comment product_fee_code
    product_fee_description product_from_location product_from_location_type product_from_region_code
    product_instance_family product_instance_type product_instancesku product_location product_location_type
    product_operation product_pricing_unit product_product_family product_region_code product_servicecode product_sku
    product_to_location product_to_location_type product_to_region_code product_usagetype
    reservation_amortized_upfront_cost_for_usage reservation_amortized_upfront_fee_for_billing_period
    reservation_availability_zone reservation_effective_cost reservation_end_time reservation_modification_status
    reservation_net_amortized_upfront_cost_for_usage reservation_net_amortized_upfront_fee_for_billing_period
    reservation_net_effective_cost reservation_net_recurring_fee_for_usage
    reservation_net_unused_amortized_upfront_fee_for_billing_period reservation_net_unused_recurring_fee
    reservation_net_upfront_value reservation_normalized_units_per_reservation reservation_number_of_reservations
    reservation_recurring_fee_for_usage reservation_reservation_a_r_n reservation_start_time
    reservation_subscription_id reservation_total_reserved_normalized_units reservation_total_reserved_units
    reservation_units_per_reservation reservation_unused_amortized_upfront_fee_for_billing_period
    reservation_unused_normalized_unit_quantity reservation_unused_quantity reservation_unused_recurring_fee
    reservation_upfront_value resource_tags savings_plan_amortized_upfront_commitment_for_billing_period
    savings_plan_end_time savings_plan_instance_type_family
    savings_plan_net_amortized_upfront_commitment_for_billing_period
    savings_plan_net_recurring_commitment_for_billing_period savings_plan_net_savings_plan_effective_cost
    savings_plan_offering_type savings_plan_payment_option savings_plan_purchase_term
    savings_plan_recurring_commitment_for_billing_period savings_plan_region savings_plan_savings_plan_a_r_n
    savings_plan_savings_plan_effective_cost savings_plan_savings_plan_rate savings_plan_start_time
    savings_plan_total_commitment_to_date savings_plan_used_commitment tags
"""
"""CUR 2.0 with its default table configuration, in the order of the export."""

CUR2_COMMITMENT_MEASURES = """
    reservation_amortized_upfront_cost_for_usage reservation_amortized_upfront_fee_for_billing_period
    reservation_effective_cost reservation_net_amortized_upfront_cost_for_usage
    reservation_net_amortized_upfront_fee_for_billing_period reservation_net_effective_cost
    reservation_net_recurring_fee_for_usage reservation_net_unused_amortized_upfront_fee_for_billing_period
    reservation_net_unused_recurring_fee reservation_net_upfront_value reservation_recurring_fee_for_usage
    reservation_unused_amortized_upfront_fee_for_billing_period reservation_unused_normalized_unit_quantity
    reservation_unused_quantity reservation_unused_recurring_fee reservation_upfront_value
    savings_plan_amortized_upfront_commitment_for_billing_period
    savings_plan_net_amortized_upfront_commitment_for_billing_period
    savings_plan_net_recurring_commitment_for_billing_period savings_plan_net_savings_plan_effective_cost
    savings_plan_recurring_commitment_for_billing_period savings_plan_savings_plan_effective_cost
    savings_plan_savings_plan_rate savings_plan_total_commitment_to_date savings_plan_used_commitment
"""
"""Doubles that the export writes as 0, not as null, on the lines that they do not concern."""

CUR2_TYPES = {
    "double": f"""
        discount_bundled_discount discount_total_discount line_item_blended_cost line_item_net_unblended_cost
        line_item_normalization_factor line_item_normalized_usage_amount line_item_unblended_cost
        line_item_usage_amount pricing_public_on_demand_cost {CUR2_COMMITMENT_MEASURES}
    """,
    "timestamp": """
        bill_billing_period_end_date bill_billing_period_start_date line_item_usage_end_date line_item_usage_start_date
    """,
    "map<string,string>": "cost_category product resource_tags tags",
    "map<string,double>": "discount",
}


@dataclass(frozen=True)
class Lines:
    """The charges of a window as columns, one element a charge, ordered by day.

    `charge` is the position in CHARGES; `start` and `end` are UTC; amounts are USD, rounded to ten decimals.
    `unused` is the part of a commitment's fee that no usage was covered by, and zero on every other charge.
    """

    charge: np.ndarray
    start: np.ndarray
    end: np.ndarray
    list_cost: np.ndarray
    billed: np.ndarray
    effective: np.ndarray
    unused: np.ndarray

    def take(self, positions: np.ndarray) -> Lines:
        return Lines(**{name: column[positions] for name, column in vars(self).items()})


def write(folder: Path, last_day: date, days: int) -> SampleBill:
    """Write both exports and the account map; see `write_sample_bill`."""
    if days < 1:
        raise ValueError(f"days must be 1 or more, not {days}")
    folder = folder.absolute()
    strangers = sorted({entry.name for entry in folder.iterdir()} - ENTRIES) if folder.exists() else []
    if strangers:
        raise FinopsError(
            f"the folder holds more than a sample bill ({', '.join(strangers[:3])})",
            where=str(folder),
            fix="Name a folder that is new or empty",
        )
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    lines = charge_lines(last_day, days)
    focus, cur2 = focus_table(lines, last_day), cur2_table(lines, last_day)
    write_export(partial / "focus", "sample-focus", "FOCUS_1_2_AWS", focus, "BillingPeriodStart")
    write_export(partial / "cur2", "sample-cur2", "COST_AND_USAGE_REPORT", cur2, "bill_billing_period_start_date")
    write_accounts(partial / "accounts.csv", last_day)
    write_rows(partial / "budgets.csv", ("ou", "month", "amount", "currency"), BUDGETS)
    write_rows(partial / "events.csv", ("first", "last", "ou", "service", "what"), planned_events(last_day))
    if folder.exists():
        shutil.rmtree(folder)
    partial.rename(folder)
    return SampleBill(
        focus=folder / "focus",
        cur2=folder / "cur2",
        accounts=folder / "accounts.csv",
        budgets=folder / "budgets.csv",
        events=folder / "events.csv",
        first_day=last_day - timedelta(days=days - 1),
        last_day=last_day,
        lines=focus.num_rows,
        stories=stories(last_day, days),
    )


def stories(last_day: date, days: int) -> tuple[str, ...]:
    """What is hidden in the bill, the newest first, as far as the window reaches back to where it starts."""
    told = [
        story.text.format(*(last_day - timedelta(days=before) for before in story.before))
        for story in STORIES
        if max(story.before, default=0) < days
    ]
    window = (last_day - timedelta(days=before) for before in range(days))
    firsts = [f"{day}" for day in window if day.day == 1]
    if firsts:
        told.append(
            f"Tax, support and reservation fees of a whole month are booked on its first day: {', '.join(firsts)}."
        )
    return tuple(told)


def charge_lines(last_day: date, days: int) -> Lines:
    """What is charged in the window, and what the commitments make of it."""
    before = np.arange(days - 1, -1, -1)
    dates = np.datetime64(last_day, "D") - before
    next_month = (dates.astype("datetime64[M]") + 1).astype("datetime64[D]")
    at_day, charge = np.nonzero(booked(dates, before))
    list_cost = np.round(daily_costs(dates, before)[at_day, charge], 10)

    kind, name = each("kind")[charge], each("commitment")[charge]
    covered, recurring = np.isin(kind, COVERED_KINDS), np.isin(kind, RECURRING_KINDS)
    discount = np.array([COMMITMENTS[c.commitment].discount if c.commitment else 0.0 for c in CHARGES])[charge]
    billed = np.where(covered, 0.0, list_cost)
    prepaid = recurring | ((kind == "Fee") & (name != ""))
    effective = np.where(covered, np.round(list_cost * (1.0 - discount), 10), np.where(prepaid, 0.0, billed))

    # A fee's unused part is the commitment of its period, as far as it has come, less what it has covered in it.
    months_end = np.minimum(at_day + (next_month - dates).astype(np.int64)[at_day], days)
    period_end = np.where(kind == "RIFee", months_end, at_day + 1)
    unused = np.zeros(len(charge))
    for commitment, terms in COMMITMENTS.items():
        usage, fee = covered & (name == commitment), recurring & (name == commitment)
        used = np.bincount(at_day[usage], effective[usage], minlength=days)
        idle = np.concatenate([[0.0], np.cumsum(terms.per_day - used)])
        unused[fee] = np.round(idle[period_end[fee]] - idle[at_day[fee]], 10)

    start = dates[at_day].astype("datetime64[ms]")
    to_month_end = each("monthly")[charge] > 0
    end = np.where(to_month_end, next_month[at_day].astype("datetime64[ms]"), start + np.timedelta64(1, "D"))
    return by_hour(Lines(charge, start, end, list_cost, billed, effective, unused))


def each(field: str) -> np.ndarray:
    """A field of every charge, in the order of CHARGES."""
    return np.array([getattr(charge, field) for charge in CHARGES])


def booked(dates: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Days by charges: whether there is a line. A reservation's first fee is booked on the day that it is bought."""
    before = before[:, None]
    day_of_month = (dates - dates.astype("datetime64[M]").astype("datetime64[D]")).astype(np.int64)[:, None] + 1
    first = (each("kind") == "RIFee") & (before == each("since"))
    due = (each("monthly") == 0) | (each("monthly") == day_of_month) | first
    return due & (before <= each("since")) & (before >= each("until"))


def daily_costs(dates: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Days by charges: USD at list price, which is cost x growth x season x noise for usage, and exact for the rest."""
    kind = each("kind")
    usage, covered = np.isin(kind, USAGE_KINDS), np.isin(kind, COVERED_KINDS)
    steady = ~usage | np.array([METERS[charge.meter].steady for charge in CHARGES])
    habits = [HABITS[BILLED[charge.account].ou_path] for charge in CHARGES]
    growth = np.array([h.growth if c.growth is None else c.growth for c, h in zip(CHARGES, habits, strict=True)])
    level = np.where(usage, np.maximum(1.0 - growth * before[:, None] / 30.0, 0.4), 1.0)

    weekday = (dates.astype(np.int64) + 3) % 7
    weekend = np.array([habit.weekend for habit in habits])
    season = np.stack([*(np.full(len(CHARGES), share) for share in WEEKDAYS), weekend, weekend * 0.97])[weekday]
    season = np.where(steady, 1.0, season)

    names = [f"{charge.account} {charge.meter}" for charge in CHARGES]
    size = np.array([0.7 + 0.6 * share_of(n) if c.varied else 1.0 for n, c in zip(names, CHARGES, strict=True)])
    keys = np.array([key_of(f"{n} {c.kind}") for n, c in zip(names, CHARGES, strict=True)], np.uint64)
    swing = np.where(usage, np.where(steady | covered, 0.01, 0.06), 0.0)
    cost = each("cost") * size * level * season * (1.0 + swing * noise(keys, dates.astype(np.uint64)[:, None]))

    month_end = (dates.astype("datetime64[M]") + 1).astype("datetime64[D]")
    return np.where(kind == "RIFee", cost * (month_end - dates).astype(np.int64)[:, None], cost)


def by_hour(lines: Lines) -> Lines:
    """Split the lines of hourly charges into 24, one an hour."""
    parts = np.where(each("hourly")[lines.charge], 24, 1)
    hour = np.arange(parts.sum()) - np.repeat(np.cumsum(parts) - parts, parts)
    lines = lines.take(np.repeat(np.arange(len(parts)), parts))
    hourly = each("hourly")[lines.charge]
    start = lines.start + hour * np.timedelta64(1, "h")
    cost = np.round(lines.billed * np.array(HOURS)[hour] / 100.0, 10)
    return replace(
        lines,
        start=start,
        end=np.where(hourly, start + np.timedelta64(1, "h"), lines.end),
        **{name: np.where(hourly, cost, getattr(lines, name)) for name in ("list_cost", "billed", "effective")},
    )


def focus_table(lines: Lines, last_day: date) -> pa.Table:
    """The lines in FOCUS 1.2: a commitment's unused part is a usage line of its own, next to its purchase."""
    rows = [focus_row(charge, unused) for unused in (False, True) for charge in CHARGES]
    positions, is_unused = doubled(lines.unused != 0.0)
    lines = lines.take(positions)
    metered = np.isin(each("kind"), USAGE_KINDS)[lines.charge]
    quantity = np.where(metered, np.round(lines.list_cost / prices()[lines.charge], 10), np.nan)
    list_cost = np.where(is_unused, 0.0, lines.list_cost)
    effective = np.where(is_unused, lines.unused, lines.effective)
    spent = np.where(is_unused | metered, effective, lines.billed)
    spends = np.array([bool(c.commitment) and COMMITMENTS[c.commitment].is_savings_plan for c in CHARGES])[lines.charge]
    reserves = (each("commitment") != "")[lines.charge] & ~spends
    measures = {
        **periods(lines, last_day, "BillingPeriodStart BillingPeriodEnd ChargePeriodStart ChargePeriodEnd InvoiceId"),
        "BilledCost": np.where(is_unused, 0.0, lines.billed),
        "EffectiveCost": effective,
        "ListCost": list_cost,
        "ContractedCost": list_cost,
        "PricingCurrencyEffectiveCost": effective,
        "ConsumedQuantity": quantity,
        "PricingQuantity": quantity,
        "CommitmentDiscountQuantity": np.where(spends, spent, np.where(reserves, quantity, np.nan)),
    }
    return table(FOCUS_COLUMNS, FOCUS_TYPES, rows, lines.charge + len(CHARGES) * is_unused, measures)


def cur2_table(lines: Lines, last_day: date) -> pa.Table:
    """The lines in CUR 2.0: usage under a Savings Plan stands at its list price, next to the line that negates it."""
    rows = [cur2_row(charge, last_day, negated) for negated in (False, True) for charge in CHARGES]
    positions, is_negation = doubled((each("kind") == "SavingsPlanCoveredUsage")[lines.charge])
    lines = lines.take(positions)
    row = lines.charge + len(CHARGES) * is_negation
    kind = np.where(is_negation, "SavingsPlanNegation", each("kind")[lines.charge])
    net = 1.0 - np.array([private_discount(charge) for charge in CHARGES])[lines.charge]
    upfront_share = np.array([upfront_part(charge) for charge in CHARGES])[lines.charge]

    def where(name: str, amount: np.ndarray) -> np.ndarray:
        return np.where(kind == name, amount, 0.0)

    def less(amount: np.ndarray) -> np.ndarray:
        return np.round(amount * net, 10)

    sign = np.where(is_negation, -1.0, 1.0)
    covered = np.isin(kind, ("SavingsPlanCoveredUsage", "SavingsPlanNegation"))
    metered = covered | np.isin(kind, USAGE_KINDS)
    unblended = np.where(covered, sign * lines.list_cost, lines.billed)
    sp_effective = where("SavingsPlanCoveredUsage", lines.effective)
    commitment = where("SavingsPlanRecurringFee", lines.billed)
    ri_effective = where("DiscountedUsage", lines.effective)
    ri_upfront = np.round(ri_effective * upfront_share, 10)
    ri_recurring = np.round(ri_effective - ri_upfront, 10)
    ri_unused = where("RIFee", lines.unused)
    ri_unused_upfront = np.round(ri_unused * upfront_share, 10)
    ri_unused_recurring = np.round(ri_unused - ri_unused_upfront, 10)
    # The recurring fee of the period stands to the upfront fee of the period as their shares do.
    ri_fee_upfront = np.round(where("RIFee", lines.billed) * upfront_share / (1.0 - upfront_share), 10)
    upfront_value = np.where(upfront_share > 0, where("Fee", lines.billed), 0.0)
    measures = {
        **periods(
            lines,
            last_day,
            "bill_billing_period_start_date bill_billing_period_end_date "
            "line_item_usage_start_date line_item_usage_end_date bill_invoice_id",
        ),
        "identity_line_item_id": line_ids(lines, row),
        "identity_time_interval": intervals(lines),
        "line_item_unblended_cost": unblended,
        "line_item_blended_cost": unblended,
        "line_item_net_unblended_cost": less(unblended),
        "discount_total_discount": np.round(less(unblended) - unblended, 10),
        "line_item_usage_amount": np.where(metered, sign * np.round(lines.list_cost / prices()[lines.charge], 10), 1.0),
        "pricing_public_on_demand_cost": np.where(metered & ~is_negation, lines.list_cost, 0.0),
        "savings_plan_savings_plan_effective_cost": sp_effective,
        "savings_plan_net_savings_plan_effective_cost": less(sp_effective),
        "savings_plan_total_commitment_to_date": commitment,
        "savings_plan_used_commitment": np.round(commitment - where("SavingsPlanRecurringFee", lines.unused), 10),
        "savings_plan_recurring_commitment_for_billing_period": commitment,
        "savings_plan_net_recurring_commitment_for_billing_period": less(commitment),
        "reservation_effective_cost": ri_effective,
        "reservation_net_effective_cost": less(ri_effective),
        "reservation_amortized_upfront_cost_for_usage": ri_upfront,
        "reservation_net_amortized_upfront_cost_for_usage": less(ri_upfront),
        "reservation_recurring_fee_for_usage": ri_recurring,
        "reservation_net_recurring_fee_for_usage": less(ri_recurring),
        "reservation_amortized_upfront_fee_for_billing_period": ri_fee_upfront,
        "reservation_net_amortized_upfront_fee_for_billing_period": less(ri_fee_upfront),
        "reservation_unused_amortized_upfront_fee_for_billing_period": ri_unused_upfront,
        "reservation_net_unused_amortized_upfront_fee_for_billing_period": less(ri_unused_upfront),
        "reservation_unused_recurring_fee": ri_unused_recurring,
        "reservation_net_unused_recurring_fee": less(ri_unused_recurring),
        "reservation_upfront_value": upfront_value,
        "reservation_net_upfront_value": less(upfront_value),
    }
    return table(CUR2_COLUMNS, CUR2_TYPES, rows, row, measures)


def focus_row(charge: Charge, unused: bool) -> dict[str, Any]:
    """What every FOCUS line of a charge has in common, or every line of the unused part of a commitment's fee."""
    account, meter = BILLED[charge.account], METERS[charge.meter]
    service, region, sku = SERVICES[meter.service], region_of(charge), sku_of(charge)
    metered = charge.kind in USAGE_KINDS
    usage, tax = metered or unused, charge.kind == "Tax"
    once = {"Tax": "Tax", "Credit": "Credit", "Refund": "Adjustment"}
    recurring = charge.kind in RECURRING_KINDS or (charge.kind == "Fee" and charge.monthly)
    row: dict[str, Any] = {
        "AvailabilityZone": f"{region}a" if meter.instance and metered else None,
        "BillingAccountId": MANAGEMENT.id,
        "BillingAccountName": MANAGEMENT.name,
        "BillingAccountType": "Management Account",
        "BillingCurrency": "USD",
        "ChargeCategory": "Usage" if usage else once.get(charge.kind, "Purchase"),
        "ChargeClass": "Correction" if charge.kind == "Refund" else None,
        "ChargeDescription": description_of(charge),
        "ChargeFrequency": "Usage-Based" if usage else "Recurring" if recurring else "One-Time",
        "InvoiceIssuerName": AWS,
        "PricingCategory": None if tax else "Committed" if charge.commitment else "Standard" if usage else "Other",
        "PricingCurrency": "USD",
        "ProviderName": "AWS",
        "PublisherName": SELLERS.get(meter.service, AWS),
        "RegionId": region or None,
        "RegionName": REGION_NAMES.get(region),
        "ResourceType": "instance" if meter.instance and metered else None,
        "ServiceCategory": service.category,
        "ServiceName": service.name,
        "ServiceSubcategory": service.subcategory,
        "SkuId": None if tax else sku,
        "SkuMeter": None if tax else usage_type_of(charge),
        "SkuPriceId": None if tax else f"{sku}.{ON_DEMAND_RATE}",
        "SkuPriceDetails": {"InstanceType": meter.instance} if meter.instance and usage else None,
        "SubAccountId": account.id,
        "SubAccountName": account.name,
        "SubAccountType": "Management Account" if account == MANAGEMENT else "Member Account",
        "x_Operation": meter.operation or None,
        "x_ServiceCode": meter.service,
    }
    if metered:
        rates = "ListUnitPrice ContractedUnitPrice PricingCurrencyListUnitPrice PricingCurrencyContractedUnitPrice"
        row |= dict.fromkeys(rates.split(), meter.price)
        row |= {"ConsumedUnit": meter.unit, "PricingUnit": meter.unit}
        row |= {"ResourceId": resource_of(charge), "Tags": tags_of(account)}
    if charge.commitment:
        commitment = COMMITMENTS[charge.commitment]
        row |= {
            "CommitmentDiscountCategory": "Spend" if commitment.is_savings_plan else "Usage",
            "CommitmentDiscountId": commitment.arn,
            "CommitmentDiscountName": charge.commitment,
            "CommitmentDiscountStatus": "Unused" if unused else "Used" if metered else None,
            "CommitmentDiscountType": "Savings Plan" if commitment.is_savings_plan else "Reserved Instance",
            "CommitmentDiscountUnit": "USD" if commitment.is_savings_plan else meter.unit,
        }
    return row


def cur2_row(charge: Charge, last_day: date, negated: bool) -> dict[str, Any]:
    """What every CUR 2.0 line of a charge has in common, or every line that takes it off the bill again."""
    account, meter = BILLED[charge.account], METERS[charge.meter]
    region, sku, usage_type = region_of(charge), sku_of(charge), usage_type_of(charge)
    marketplace = meter.service in SELLERS
    contract = charge.kind == "Fee" and (charge.commitment or marketplace)
    row: dict[str, Any] = {
        **dict.fromkeys(CUR2_COMMITMENT_MEASURES.split(), 0.0),
        "bill_bill_type": "Refund" if charge.kind == "Refund" else "Purchase" if contract else "Anniversary",
        "bill_billing_entity": "AWS Marketplace" if marketplace else "AWS",
        "bill_invoicing_entity": AWS,
        "bill_payer_account_id": MANAGEMENT.id,
        "bill_payer_account_name": MANAGEMENT.name,
        "discount_bundled_discount": 0.0,
        "line_item_currency_code": "USD",
        "line_item_legal_entity": SELLERS.get(meter.service, AWS),
        "line_item_line_item_description": description_of(charge),
        "line_item_line_item_type": "SavingsPlanNegation" if negated else charge.kind,
        "line_item_operation": meter.operation or None,
        "line_item_product_code": meter.service,
        "line_item_tax_type": "VAT" if charge.kind == "Tax" else None,
        "line_item_usage_account_id": account.id,
        "line_item_usage_account_name": account.name,
        "line_item_usage_type": usage_type,
        "pricing_currency": "USD",
        "product": {"product_name": SERVICES[meter.service].name} | ({"region": region} if region else {}),
        "product_instance_type": meter.instance or None,
        "product_location": REGION_NAMES.get(region),
        "product_location_type": "AWS Region" if region else None,
        "product_operation": meter.operation or None,
        "product_pricing_unit": meter.unit,
        "product_product_family": meter.family,
        "product_region_code": region or None,
        "product_servicecode": meter.servicecode or meter.service,
        "product_sku": sku,
        "product_usagetype": usage_type,
        # Exports write an empty text here, not a null: queries ask `<> ''`.
        "reservation_reservation_a_r_n": "",
        "savings_plan_savings_plan_a_r_n": "",
    }
    if charge.kind in USAGE_KINDS:
        tags = {f"user_{name}": value for name, value in (tags_of(account) or {}).items()} or None
        rates = "line_item_blended_rate line_item_unblended_rate pricing_public_on_demand_rate"
        row |= dict.fromkeys(rates.split(), f"{meter.price:.10f}")
        row |= {
            "line_item_availability_zone": f"{region}a" if meter.instance else None,
            "line_item_net_unblended_rate": f"{meter.price * (1 - PRIVATE_DISCOUNT):.10f}",
            "line_item_resource_id": resource_of(charge),
            "pricing_rate_code": f"{sku}.{ON_DEMAND_RATE}",
            "pricing_term": "Reserved" if charge.kind == "DiscountedUsage" else "OnDemand",
            "pricing_unit": meter.unit,
            "resource_tags": tags,
            "tags": tags,
        }
    return row | (commitment_columns(charge, last_day) if charge.commitment else {})


def commitment_columns(charge: Charge, last_day: date) -> dict[str, Any]:
    """The columns of a CUR 2.0 line that name its Savings Plan or reservation."""
    commitment = COMMITMENTS[charge.commitment]
    bought = last_day - timedelta(days=commitment.bought)
    start, end = f"{bought}T00:00:00.000Z", f"{bought + timedelta(days=365 * commitment.years)}T00:00:00.000Z"
    if commitment.is_savings_plan:
        return {
            "savings_plan_savings_plan_a_r_n": commitment.arn,
            "savings_plan_offering_type": commitment.offering,
            "savings_plan_payment_option": commitment.payment,
            "savings_plan_purchase_term": f"{commitment.years}yr",
            "savings_plan_start_time": start,
            "savings_plan_end_time": end,
        }
    return {
        "pricing_lease_contract_length": f"{commitment.years}yr",
        "pricing_offering_class": commitment.offering,
        "pricing_purchase_option": commitment.payment,
        "reservation_reservation_a_r_n": commitment.arn,
        "reservation_start_time": start,
        "reservation_end_time": end,
    }


def region_of(charge: Charge) -> str:
    """The region's code; empty for what AWS bills without one."""
    return "" if METERS[charge.meter].service in GLOBAL_SERVICES else BILLED[charge.account].region


def usage_type_of(charge: Charge) -> str:
    return USAGE_TYPE_PREFIXES.get(region_of(charge), "") + METERS[charge.meter].usage_type


def description_of(charge: Charge) -> str:
    meter = METERS[charge.meter]
    match charge.kind:
        case "Tax":
            return f"Tax for product code {meter.service}"
        case "Credit":
            return "Example Migration Credit"
        case "Refund":
            return f"Refund for {SERVICES[meter.service].name}"
        case "Fee" if charge.commitment:
            return f"Sign up charge for subscription: {COMMITMENTS[charge.commitment].arn}"
        case "DiscountedUsage" | "RIFee":
            return f"{meter.instance} reserved instance, {COMMITMENTS[charge.commitment].payment}"
    price = f"{meter.price:.10f}".rstrip("0").rstrip(".")
    return f"${price} per {meter.unit}, {meter.family}"


def resource_of(charge: Charge) -> str | None:
    """An id for what has one here, instances and buckets; other usage is billed without a resource."""
    meter, account = METERS[charge.meter], BILLED[charge.account]
    if meter.service == "AmazonEC2" and meter.instance:
        return f"i-0{key_of(f'{charge.account} {charge.meter}'):016x}"
    return f"{account.id}-example-bucket" if meter.service == "AmazonS3" else None


def sku_of(charge: Charge) -> str:
    return f"{key_of(usage_type_of(charge) + METERS[charge.meter].operation):016X}"


def tags_of(account: Account) -> dict[str, str] | None:
    """Tags of an account's resources; sandboxes and accounts that nobody knows carry none, as everywhere."""
    if account.ou_path in ("", "Sandbox"):
        return None
    return {"environment": "nonprod" if "NonProd" in account.ou_path else "prod", "team": account.name.split("-")[0]}


def private_discount(charge: Charge) -> float:
    return PRIVATE_DISCOUNT if charge.kind in USAGE_KINDS or charge.commitment else 0.0


def upfront_part(charge: Charge) -> float:
    """The share of the upfront payment in what a commitment costs a day."""
    if not charge.commitment:
        return 0.0
    return COMMITMENTS[charge.commitment].upfront_per_day / COMMITMENTS[charge.commitment].per_day


def prices() -> np.ndarray:
    """The list price of every charge, in USD per unit."""
    return np.array([METERS[charge.meter].price for charge in CHARGES])


def key_of(name: str) -> int:
    """64 bits that belong to the name."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big")


def share_of(name: str) -> float:
    """A number in [0, 1) that belongs to the name."""
    return (key_of(name) >> 11) * 2.0**-53


def mix(values: np.ndarray) -> np.ndarray:
    """SplitMix64's finalizer: spreads 64-bit integers evenly, the same on every machine."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def noise(keys: np.ndarray, days: np.ndarray) -> np.ndarray:
    """A triangular variate in (-1, 1) for each key and day, whatever the window is."""
    bits = mix(keys ^ mix(days))
    halves = (bits >> np.uint64(32)).astype(np.float64) + (bits & np.uint64(0xFFFFFFFF)).astype(np.float64)
    return halves / 2.0**32 - 1.0


def doubled(twice: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions with those marked in `twice` repeated, and a mask of the repetitions."""
    positions = np.repeat(np.arange(len(twice)), np.where(twice, 2, 1))
    return positions, np.diff(positions, prepend=-1) == 0


def line_ids(lines: Lines, row: np.ndarray) -> list[str]:
    bits = mix(mix(lines.start.astype(np.int64).astype(np.uint64)) ^ row.astype(np.uint64))
    return [f"{number:016x}" for number in bits.tolist()]


def intervals(lines: Lines) -> list[str]:
    """`start/end` of each charge period, as CUR writes it."""
    starts, ends = (np.datetime_as_string(times, unit="s").tolist() for times in (lines.start, lines.end))
    return [f"{start}Z/{end}Z" for start, end in zip(starts, ends, strict=True)]


def periods(lines: Lines, last_day: date, names: str) -> dict[str, Any]:
    """Billing period, charge period and invoice id of each line, under the format's names for them."""
    month = lines.start.astype("datetime64[M]")
    months, month_of = np.unique(month, return_inverse=True)
    issued = (months + 1).astype("datetime64[D]") + INVOICED_AFTER <= np.datetime64(last_day, "D")
    invoices = [f"EXAMPLE-{month}" if done else None for month, done in zip(months, issued, strict=True)]
    values = (
        month.astype("datetime64[ms]"),
        (month + 1).astype("datetime64[ms]"),
        lines.start,
        lines.end,
        pa.array(invoices, pa.string()).take(pa.array(month_of)),
    )
    return dict(zip(names.split(), values, strict=True))


def table(
    columns: str,
    types: Mapping[str, str],
    rows: Sequence[Mapping[str, Any]],
    row: np.ndarray,
    measures: Mapping[str, Any],
) -> pa.Table:
    """An Arrow table with the columns given: a measure a line where there is one, else what the row says."""
    arrow = {
        "double": pa.float64(),
        "timestamp": pa.timestamp("ms"),
        "map<string,string>": pa.map_(pa.string(), pa.string()),
        "map<string,double>": pa.map_(pa.string(), pa.float64()),
    }
    type_of = {name: arrow[glue] for glue, names in types.items() for name in names.split()}
    schema = pa.schema([(name, type_of.get(name, pa.string())) for name in columns.split()])
    positions = pa.array(row)
    arrays = []
    for name, kind in zip(schema.names, schema.types, strict=True):
        if name in measures:
            arrays.append(pa.array(measures[name], kind, from_pandas=True))
            continue
        values = [cells.get(name) for cells in rows]
        if pa.types.is_map(kind):
            values = [None if value is None else list(value.items()) for value in values]
        arrays.append(pa.array(values, kind).take(positions))
    return pa.table(arrays, schema=schema)


def write_export(prefix: Path, export: str, source: str, lines: pa.Table, period_column: str) -> None:
    """Lay the lines out as Data Exports does: a file and a manifest for each billing period, the manifest last."""
    months = lines.column(period_column).to_numpy().astype("datetime64[M]")
    periods, starts = np.unique(months, return_index=True)
    for period, start, end in zip(periods, starts, [*starts[1:], len(months)], strict=True):
        file = Path(export, "data", f"BILLING_PERIOD={period}", f"{export}-00001.snappy.parquet")
        (prefix / file).parent.mkdir(parents=True)
        # Without the Arrow schema, as AWS writes it: what is read back depends on Parquet's own types alone.
        pq.write_table(lines.slice(start, end - start), prefix / file, compression="snappy", store_schema=False)
        content = blake2b((prefix / file).read_bytes(), digest_size=16).digest()
        manifest = {
            "exportName": export,
            "table": source,
            "billingPeriod": str(period),
            "executionId": str(UUID(bytes=content)),
            "dataFiles": [f"s3://{BUCKET}/{prefix.name}/{file.as_posix()}"],
            "columns": lines.column_names,
        }
        path = prefix / export / "metadata" / f"BILLING_PERIOD={period}" / f"{export}-Manifest.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def write_accounts(path: Path, last_day: date) -> None:
    """The account-to-OU map: a row for each account, and one more from the day that an account moved."""
    rows = []
    for account in ACCOUNTS:
        rows.append((account.id, account.name, account.ou_path, ""))
        if account.name == MOVED:
            rows.append((account.id, account.name, MOVED_TO, last_day - timedelta(days=MOVED_BEFORE)))
    write_rows(path, ("account_id", "account_name", "ou_path", "valid_from"), rows)


def planned_events(last_day: date) -> list[tuple]:
    """What was known before: the calendar's rows."""
    first, last = (last_day - timedelta(days=before) for before in (SPIKE_FIRST, SPIKE_LAST))
    return [(first, last, "Platform/Network", "", "move out of the old data center")]


def write_rows(path: Path, header: Sequence[str], rows: Iterable[Sequence]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])
