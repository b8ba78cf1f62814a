# The archive: days, digests, evidence, the account map, what Athena stages and answers. One bucket, as everything in it
# belongs to one owner and is found by its prefix.

locals {
  bucket          = var.bucket_name == "" ? "${var.name}-daily-summaries-${local.account}" : var.bucket_name
  bucket_arn      = "arn:${local.partition}:s3:::${local.bucket}"
  results_prefix  = "athena-results/"
  staging_prefix  = "_staging/"
  logs_prefix     = "dagster-logs/"
  evidence_prefix = "evidence/bundles/"
}

resource "aws_s3_bucket" "archive" {
  #checkov:skip=CKV_AWS_18:Access logs would need another bucket; CloudTrail's data events are the account's own choice.
  #checkov:skip=CKV_AWS_19:It is encrypted below; checkov does not see through the choice of the key.
  #checkov:skip=CKV_AWS_144:Every day can be made again from the bill: a copy in another region protects little.
  #checkov:skip=CKV_AWS_145:Encrypted by S3's keys, or by kms_key_arn where the account wants its own.
  #checkov:skip=CKV2_AWS_62:Nothing waits for events of this bucket.
  bucket        = local.bucket
  force_destroy = var.destroy_archive
}

resource "aws_s3_bucket_versioning" "archive" {
  bucket = aws_s3_bucket.archive.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "archive" {
  bucket = aws_s3_bucket.archive.id

  rule {
    bucket_key_enabled = var.kms_key_arn != ""

    apply_server_side_encryption_by_default {
      sse_algorithm     = var.kms_key_arn == "" ? "AES256" : "aws:kms"
      kms_master_key_id = var.kms_key_arn == "" ? null : var.kms_key_arn
    }
  }
}

resource "aws_s3_bucket_public_access_block" "archive" {
  bucket                  = aws_s3_bucket.archive.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "archive" {
  bucket = aws_s3_bucket.archive.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

data "aws_iam_policy_document" "archive_bucket" {
  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [local.bucket_arn, "${local.bucket_arn}/*"]

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
}

resource "aws_s3_bucket_policy" "archive" {
  bucket = aws_s3_bucket.archive.id
  policy = data.aws_iam_policy_document.archive_bucket.json

  depends_on = [aws_s3_bucket_public_access_block.archive]
}

resource "aws_s3_bucket_lifecycle_configuration" "archive" {
  #checkov:skip=CKV_AWS_300:The rule `uploads` has no filter but an empty prefix: it aborts incomplete uploads everywhere.
  bucket = aws_s3_bucket.archive.id

  rule {
    id     = "uploads"
    status = "Enabled"

    filter {
      prefix = ""
    }
    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
    expiration {
      expired_object_delete_marker = true
    }
  }

  rule {
    id     = "replaced"
    status = "Enabled"

    filter {
      prefix = ""
    }
    noncurrent_version_expiration {
      noncurrent_days = var.keep_replaced_days
    }
  }

  # What passes: staged files, query results, logs. In a versioned bucket they would otherwise stay for ever.
  dynamic "rule" {
    for_each = {
      staging = { prefix = local.staging_prefix, days = 7 }
      results = { prefix = local.results_prefix, days = 7 }
      logs    = { prefix = local.logs_prefix, days = 90 }
    }
    content {
      id     = rule.key
      status = "Enabled"

      filter {
        prefix = rule.value.prefix
      }
      expiration {
        days = rule.value.days
      }
      noncurrent_version_expiration {
        noncurrent_days = 1
      }
    }
  }

  # The size is said, since S3 moves nothing under 128 KB unless a rule says so. The index beside the bundles stays.
  rule {
    id     = "evidence"
    status = "Enabled"

    filter {
      and {
        prefix                   = local.evidence_prefix
        object_size_greater_than = 1
      }
    }
    transition {
      days          = var.evidence_to_deep_archive_days
      storage_class = "DEEP_ARCHIVE"
    }
  }

  depends_on = [aws_s3_bucket_versioning.archive]
}
