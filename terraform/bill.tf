# The bill: a Data Export with the columns that are read and no others, its bucket in the management account, and its
# table here. With bill.export = "none" nothing of it is made: bill.table is there already.

locals {
  exports     = var.bill.export != "none"
  export      = local.exports ? local.contract.exports["${var.bill.export}${var.bill.resource_ids ? "_with_resources" : ""}"] : null
  export_name = "${var.name}-${var.bill.export}"
  bill_bucket = var.bill.bucket_name == "" ? "${var.name}-bill-${local.payer}" : var.bill.bucket_name
  bill_data   = "${local.bill_bucket}/exports/${local.export_name}/data/"

  bill_table   = local.exports ? "${replace(var.name, "-", "_")}_bill.${var.bill.export}" : var.bill.table
  bill_buckets = local.exports ? [local.bill_bucket] : var.bill.buckets
  bill_tables  = distinct(concat([local.bill_table], var.bill.catalog_tables))
}

resource "aws_s3_bucket" "bill" {
  #checkov:skip=CKV_AWS_18:Access logs would need another bucket; CloudTrail's data events are the account's own choice.
  #checkov:skip=CKV_AWS_21:An export overwrites its files several times a day and can be delivered again.
  #checkov:skip=CKV_AWS_144:An export can be delivered again: a copy in another region protects little.
  #checkov:skip=CKV_AWS_145:Data Exports delivers with S3's keys.
  #checkov:skip=CKV2_AWS_62:Nothing waits for events of this bucket.
  count    = local.exports ? 1 : 0
  provider = aws.management

  bucket        = local.bill_bucket
  force_destroy = var.destroy_archive
}

resource "aws_s3_bucket_server_side_encryption_configuration" "bill" {
  count    = local.exports ? 1 : 0
  provider = aws.management
  bucket   = aws_s3_bucket.bill[0].id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_public_access_block" "bill" {
  count    = local.exports ? 1 : 0
  provider = aws.management

  bucket                  = aws_s3_bucket.bill[0].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "bill" {
  count    = local.exports ? 1 : 0
  provider = aws.management
  bucket   = aws_s3_bucket.bill[0].id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "bill" {
  count    = local.exports ? 1 : 0
  provider = aws.management
  bucket   = aws_s3_bucket.bill[0].id

  rule {
    id     = "uploads"
    status = "Enabled"

    filter {}
    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }
}

data "aws_iam_policy_document" "bill_bucket" {
  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = ["arn:${local.partition}:s3:::${local.bill_bucket}", "arn:${local.partition}:s3:::${local.bill_bucket}/*"]

    principals {
      type        = "*"
      identifiers = ["*"]
    }
    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }

  statement {
    sid       = "DataExportsMayDeliver"
    actions   = ["s3:PutObject", "s3:GetBucketPolicy"]
    resources = ["arn:${local.partition}:s3:::${local.bill_bucket}", "arn:${local.partition}:s3:::${local.bill_bucket}/*"]

    principals {
      type        = "Service"
      identifiers = ["billingreports.amazonaws.com", "bcm-data-exports.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.payer]
    }
    condition {
      test     = "StringLike"
      variable = "aws:SourceArn"
      values = [
        "arn:${local.partition}:cur:us-east-1:${local.payer}:definition/*",
        "arn:${local.partition}:bcm-data-exports:us-east-1:${local.payer}:export/*",
      ]
    }
  }

  # The account is the principal, narrowed to the one role: a role as principal would have to be there first, and would
  # be another one when it is made anew.
  statement {
    sid       = "ThePlatformMayRead"
    actions   = ["s3:GetObject", "s3:ListBucket", "s3:GetBucketLocation"]
    resources = ["arn:${local.partition}:s3:::${local.bill_bucket}", "arn:${local.partition}:s3:::${local.bill_bucket}/*"]

    principals {
      type        = "AWS"
      identifiers = ["arn:${local.partition}:iam::${local.account}:root"]
    }
    condition {
      test     = "ArnEquals"
      variable = "aws:PrincipalArn"
      values   = [local.task_role_arn]
    }
  }
}

resource "aws_s3_bucket_policy" "bill" {
  count    = local.exports ? 1 : 0
  provider = aws.management

  bucket = aws_s3_bucket.bill[0].id
  policy = data.aws_iam_policy_document.bill_bucket.json

  depends_on = [aws_s3_bucket_public_access_block.bill]
}

resource "aws_bcmdataexports_export" "bill" {
  count    = local.exports ? 1 : 0
  provider = aws.billing

  export {
    name        = local.export_name
    description = "Read by the daily cost platform"

    data_query {
      query_statement = local.export.query
      table_configurations = {
        (local.export.source) = merge(
          { TIME_GRANULARITY = "DAILY" },
          var.bill.export == "focus" ? {} : {
            INCLUDE_MANUAL_DISCOUNT_COMPATIBILITY = "FALSE"
            INCLUDE_RESOURCES                     = var.bill.resource_ids ? "TRUE" : "FALSE"
            INCLUDE_SPLIT_COST_ALLOCATION_DATA    = "FALSE"
          },
        )
      }
    }

    destination_configurations {
      s3_destination {
        s3_bucket = local.bill_bucket
        s3_prefix = "exports"
        s3_region = var.region

        # An export that keeps its older versions would count every line again in Athena.
        s3_output_configurations {
          output_type = "CUSTOM"
          format      = "PARQUET"
          compression = "PARQUET"
          overwrite   = "OVERWRITE_REPORT"
        }
      }
    }

    refresh_cadence {
      frequency = "SYNCHRONOUS"
    }
  }

  depends_on = [aws_s3_bucket_policy.bill]

  lifecycle {
    # AWS adds defaults of its own; a difference would make the export anew, and it would begin with the current month.
    ignore_changes = [export[0].data_query[0].table_configurations]
  }
}

resource "aws_glue_catalog_database" "bill" {
  count = local.exports ? 1 : 0

  name        = split(".", local.bill_table)[0]
  description = "The bill that AWS delivers"
}

# It needs no crawler: the billing periods follow from their names.
resource "aws_glue_catalog_table" "bill" {
  count = local.exports ? 1 : 0

  database_name = aws_glue_catalog_database.bill[0].name
  name          = var.bill.export
  table_type    = "EXTERNAL_TABLE"

  parameters = {
    EXTERNAL                                  = "TRUE"
    classification                            = "parquet"
    "projection.enabled"                      = "true"
    "projection.billing_period.type"          = "date"
    "projection.billing_period.format"        = "yyyy-MM"
    "projection.billing_period.range"         = "${var.bill.first_month},NOW"
    "projection.billing_period.interval"      = "1"
    "projection.billing_period.interval.unit" = "MONTHS"
    "storage.location.template"               = "s3://${local.bill_data}BILLING_PERIOD=$${billing_period}/"
  }

  partition_keys {
    name = "billing_period"
    type = "string"
  }

  storage_descriptor {
    location      = "s3://${local.bill_data}"
    input_format  = local.contract.tables.ou_breakdown.StorageDescriptor.InputFormat
    output_format = local.contract.tables.ou_breakdown.StorageDescriptor.OutputFormat

    ser_de_info {
      serialization_library = local.contract.tables.ou_breakdown.StorageDescriptor.SerdeInfo.SerializationLibrary
    }

    dynamic "columns" {
      for_each = local.export.columns
      content {
        name = columns.value.Name
        type = columns.value.Type
      }
    }
  }
}
