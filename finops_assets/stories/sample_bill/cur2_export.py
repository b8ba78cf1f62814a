"""The sample bill in CUR 2.0, as AWS exports it."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from finops_assets.stories.sample_bill.catalog import (
    METERS,
    REGION_NAMES,
    SELLERS,
    SERVICES,
)
from finops_assets.stories.sample_bill.charge_lines import USAGE_KINDS, Lines, doubled, each, prices, upfront_part
from finops_assets.stories.sample_bill.commitments import COMMITMENTS
from finops_assets.stories.sample_bill.hashing import mix
from finops_assets.stories.sample_bill.line_columns import (
    AWS,
    ON_DEMAND_RATE,
    description_of,
    periods,
    product_of,
    region_of,
    resource_of,
    sku_of,
    table,
    tags_of,
    usage_type_of,
)
from finops_assets.stories.sample_bill.organization import BILLED, MANAGEMENT
from finops_assets.stories.sample_bill.spending import CHARGES, PRIVATE_DISCOUNT, Charge

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
            "cost_category": {"Product": product_of(account)} if product_of(account) else None,
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


def private_discount(charge: Charge) -> float:
    return PRIVATE_DISCOUNT if charge.kind in USAGE_KINDS or charge.commitment else 0.0


def line_ids(lines: Lines, row: np.ndarray) -> list[str]:
    bits = mix(mix(lines.start.astype(np.int64).astype(np.uint64)) ^ row.astype(np.uint64))
    return [f"{number:016x}" for number in bits.tolist()]


def intervals(lines: Lines) -> list[str]:
    """`start/end` of each charge period, as CUR writes it."""
    starts, ends = (np.datetime_as_string(times, unit="s").tolist() for times in (lines.start, lines.end))
    return [f"{start}Z/{end}Z" for start, end in zip(starts, ends, strict=True)]
