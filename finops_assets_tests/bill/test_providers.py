"""Who bills: one rule says which providers are AWS, for texts and for the SQL of account ids."""

from __future__ import annotations

import duckdb
import pytest

from finops_assets.adapters.shared.duck import athena_to_duckdb
from finops_assets.core.bill.providers import AWS, is_aws_sql, provider_name


@pytest.mark.parametrize(
    ("named", "is_aws"),
    [
        ("AWS", True),
        ("aws", True),
        ("Amazon Web Services, Inc.", True),
        (" Amazon Web Services EMEA SARL", True),
        ("Microsoft", False),
        ("Laws of Cloud", False),
    ],
)
def test_texts_and_sql_agree_on_which_provider_is_aws(named: str, is_aws: bool) -> None:
    """A bill that is shown as AWS's has its account ids padded as AWS's."""
    assert (provider_name(named) == AWS) == is_aws
    sql = athena_to_duckdb(f"SELECT {is_aws_sql('named')} FROM lines")
    with duckdb.connect() as con:
        con.execute("CREATE TABLE lines AS SELECT ? AS named", [named])
        assert con.execute(sql).fetchall() == [(is_aws,)]
