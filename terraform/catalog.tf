# The tables as the code expects them. Days are registered by the code, one partition each: nothing else may.

resource "aws_glue_catalog_database" "archive" {
  name        = local.contract.database
  description = "Daily cost by organizational unit"
}

resource "aws_glue_catalog_table" "archive" {
  for_each = local.contract.tables

  database_name = aws_glue_catalog_database.archive.name
  name          = each.key
  table_type    = each.value.TableType
  parameters    = { for name, value in each.value.Parameters : name => replace(value, "{bucket}", local.bucket) }

  dynamic "partition_keys" {
    for_each = each.value.PartitionKeys
    content {
      name = partition_keys.value.Name
      type = partition_keys.value.Type
    }
  }

  storage_descriptor {
    location      = replace(each.value.StorageDescriptor.Location, "{bucket}", local.bucket)
    input_format  = each.value.StorageDescriptor.InputFormat
    output_format = each.value.StorageDescriptor.OutputFormat

    ser_de_info {
      serialization_library = each.value.StorageDescriptor.SerdeInfo.SerializationLibrary
    }

    dynamic "columns" {
      for_each = each.value.StorageDescriptor.Columns
      content {
        name = columns.value.Name
        type = columns.value.Type
      }
    }
  }
}

resource "aws_athena_workgroup" "platform" {
  #checkov:skip=CKV_AWS_159:Results are encrypted by S3's keys, or by kms_key_arn where the account wants its own.
  name          = var.name
  description   = "Queries of the daily cost platform"
  force_destroy = true # its history of queries is no reason to keep it

  configuration {
    enforce_workgroup_configuration    = true
    publish_cloudwatch_metrics_enabled = true
    bytes_scanned_cutoff_per_query     = var.query_limit_gigabytes * 1000 * 1000 * 1000

    engine_version {
      selected_engine_version = "Athena engine version 3"
    }
    result_configuration {
      output_location       = "s3://${aws_s3_bucket.archive.bucket}/${local.results_prefix}"
      expected_bucket_owner = local.account

      encryption_configuration {
        encryption_option = var.kms_key_arn == "" ? "SSE_S3" : "SSE_KMS"
        kms_key_arn       = var.kms_key_arn == "" ? null : var.kms_key_arn
      }
    }
  }
}
