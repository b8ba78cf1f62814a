"""What a run needs, read by the process that runs are forked from; nobody else imports this, as it takes seconds."""

# ruff: noqa: F401
from __future__ import annotations

import botocore.session
import duckdb
import obstore.store
import pyarrow.parquet

import finops_assets.defs.run
from finops_assets_tests.support import once

session = botocore.session.Session()
for service in ("athena", "cloudwatch", "glue", "organizations", "quicksight", "s3", "sesv2", "sns", "sts"):
    session.create_client(service, region_name="us-east-1")  # which reads its model
