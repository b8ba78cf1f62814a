"""The sample bill in FOCUS 1.2, as AWS exports it."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from finops_assets.stories.sample_bill.catalog import (
    METERS,
    REGION_NAMES,
    SELLERS,
    SERVICES,
)
from finops_assets.stories.sample_bill.charge_lines import RECURRING_KINDS, USAGE_KINDS, Lines, doubled, each, prices
from finops_assets.stories.sample_bill.commitments import COMMITMENTS
from finops_assets.stories.sample_bill.line_columns import (
    AWS,
    ON_DEMAND_RATE,
    description_of,
    periods,
    region_of,
    resource_of,
    sku_of,
    table,
    tags_of,
    usage_type_of,
)
from finops_assets.stories.sample_bill.organization import BILLED, MANAGEMENT
from finops_assets.stories.sample_bill.spending import CHARGES, Charge

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
