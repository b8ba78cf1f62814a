# Who may do what: one role per job, each with the calls that it makes, on the things that it makes them on.
#
#   task       the platform's code, in every container (here)
#   execution  ECS itself: pulls the image, reads the database's password, writes logs (runtime.tf)
#   reader     in the management account: reads the organization's tree (here)
#   scheduler  starts the task of the morning (runtime_scheduled.tf)
#   quicksight reads the archive for SPICE (quicksight.tf)
#   slack      Amazon Q Developer's view of an alarm in Slack (alerts.tf)
#
# A test runs the platform and holds every call that it made to the policy of its role.

locals {
  # By name, where one policy needs another's role: a reference would make a circle.
  task_role_arn = "arn:${local.partition}:iam::${local.account}:role/${var.name}-task"

  glue      = "arn:${local.partition}:glue:${var.region}:${local.account}"
  athena    = "arn:${local.partition}:athena:${var.region}:${local.account}"
  ses       = "arn:${local.partition}:ses:${var.region}:${local.account}"
  data_sets = "arn:${local.partition}:quicksight:${var.region}:${local.account}:dataset"

  data_set_ids = distinct(concat(["finops-*"], [
    for setting in ["aws.quicksight_data_set", "aws.quicksight_scorecard_data_set"] :
    var.settings[setting] if contains(keys(var.settings), setting)
  ]))

  catalog_of_the_archive = [
    "${local.glue}:catalog",
    "${local.glue}:database/${local.contract.database}",
    "${local.glue}:table/${local.contract.database}/*",
  ]
  organization_role_arn = (
    var.organization_role == "none" ? "" :
    var.organization_role == "create" ? one(aws_iam_role.organization[*].arn) :
    var.organization_role
  )
}

# --- the task ---------------------------------------------------------------------------------------------------------

data "aws_iam_policy_document" "task_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = ["arn:${local.partition}:ecs:${var.region}:${local.account}:*"]
    }
  }
}

resource "aws_iam_role" "task" {
  name               = "${var.name}-task"
  description        = "What the daily cost platform may do"
  assume_role_policy = data.aws_iam_policy_document.task_trust.json
}

resource "aws_iam_role_policy" "task" {
  name   = "platform"
  role   = aws_iam_role.task.id
  policy = data.aws_iam_policy_document.task.json
}

data "aws_iam_policy_document" "task" {
  statement {
    sid = "ArchiveBucket"
    actions = [
      "s3:ListBucket", "s3:GetBucketLocation", "s3:ListBucketMultipartUploads",
      "s3:GetBucketVersioning", "s3:GetBucketPublicAccessBlock", "s3:ListBucketVersions",
    ]
    resources = [local.bucket_arn]
  }

  # The whole bucket: it is the platform's own, and Athena reads and writes it with this role's rights.
  statement {
    sid       = "ArchiveObjects"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
    resources = ["${local.bucket_arn}/*"]
  }

  statement {
    sid       = "OldVersionsOfDays"
    actions   = ["s3:GetObjectVersion"]
    resources = ["${local.bucket_arn}/ou-breakdowns/*", "${local.bucket_arn}/ou-charges/*", "${local.bucket_arn}/dimension-breakdowns/*", "${local.bucket_arn}/commitments/*"]
  }

  # Staged files, notes that a mail is under way, open incidents, the restatement of a version that was never published,
  # and small objects that were damaged, once a copy is kept below damaged/. No day, no evidence, no history of the
  # organization, and no old version of anything.
  statement {
    sid     = "WhatIsPassing"
    actions = ["s3:DeleteObject"]
    resources = [
      for prefix in [
        local.staging_prefix, "account-ou-map/", "anomalies/", "digests/", "dimension-scorecards/", "drivers/",
        "heartbeats/", "incidents/", "moved-parts/", "ou-scorecards/", "own-cost/", "refreshes/", "restatements/", "rounds/"
      ] : "${local.bucket_arn}/${prefix}*"
    ]
  }

  statement {
    sid     = "BillFiles"
    actions = ["s3:ListBucket", "s3:GetObject", "s3:GetBucketLocation"]
    resources = flatten([
      for bucket in local.bill_buckets : ["arn:${local.partition}:s3:::${bucket}", "arn:${local.partition}:s3:::${bucket}/*"]
    ])
  }

  dynamic "statement" {
    for_each = var.kms_key_arn == "" ? [] : [var.kms_key_arn]
    content {
      sid       = "ArchiveKey"
      actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
      resources = [statement.value]

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["s3.${var.region}.amazonaws.com", "sns.${var.region}.amazonaws.com"]
      }
    }
  }

  dynamic "statement" {
    for_each = var.bill.kms_key_arn == "" ? [] : [var.bill.kms_key_arn]
    content {
      sid       = "BillKey"
      actions   = ["kms:Decrypt"]
      resources = [statement.value]

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["s3.${var.region}.amazonaws.com"]
      }
    }
  }

  statement {
    sid = "Queries"
    actions = [
      "athena:StartQueryExecution", "athena:GetQueryExecution", "athena:GetQueryResults",
      "athena:StopQueryExecution", "athena:GetWorkGroup",
    ]
    resources = ["${local.athena}:workgroup/${var.name}"]
  }

  # Athena looks at the database `default` too, whatever a query names, and makes it where there is none yet.
  statement {
    sid       = "DefaultDatabase"
    actions   = ["glue:GetDatabase", "glue:CreateDatabase"]
    resources = ["${local.glue}:catalog", "${local.glue}:database/default"]
  }

  statement {
    sid = "BillTable"
    actions = [
      "glue:GetDatabase", "glue:GetTable", "glue:GetTables", "glue:GetPartition", "glue:GetPartitions",
      "glue:BatchGetPartition",
    ]
    resources = concat(
      ["${local.glue}:catalog"],
      distinct([for table in local.bill_tables : "${local.glue}:database/${split(".", table)[0]}"]),
      [for table in local.bill_tables : "${local.glue}:table/${replace(table, ".", "/")}"],
    )
  }

  # CreateTable and UpdateTable are the view finops_daily_summary, and tables that a newer version of the code brings.
  statement {
    sid = "ArchiveTables"
    actions = [
      "glue:GetDatabase", "glue:GetTable", "glue:GetTables", "glue:GetPartition", "glue:GetPartitions",
      "glue:BatchGetPartition", "glue:CreateTable", "glue:UpdateTable",
      "glue:BatchCreatePartition", "glue:BatchUpdatePartition", "glue:BatchDeletePartition",
    ]
    resources = local.catalog_of_the_archive
  }

  dynamic "statement" {
    for_each = local.organization_role_arn == "" ? [] : [local.organization_role_arn]
    content {
      sid       = "Organization"
      actions   = ["sts:AssumeRole"]
      resources = [statement.value]
    }
  }

  # The data sets that `finops quicksight deploy` makes, and those that the settings name.
  statement {
    sid = "Dashboard"
    actions = [
      "quicksight:CreateIngestion", "quicksight:DescribeIngestion", "quicksight:ListIngestions",
      "quicksight:CancelIngestion", "quicksight:DescribeDataSet",
    ]
    resources = flatten([for id in local.data_set_ids : ["${local.data_sets}/${id}", "${local.data_sets}/${id}/ingestion/*"]])
  }

  # identity/*: in its sandbox SES asks for the recipient's identity too. From whom is held by the condition.
  statement {
    sid       = "Digest"
    actions   = ["ses:SendEmail", "ses:SendRawEmail"]
    resources = ["${local.ses}:identity/*", "${local.ses}:configuration-set/${var.name}"]

    condition {
      test     = "StringEquals"
      variable = "ses:FromAddress"
      values   = [var.mail.sender]
    }
  }

  statement {
    sid       = "DoctorLooksAtMail"
    actions   = ["ses:GetEmailIdentity", "ses:GetConfigurationSet"]
    resources = ["${local.ses}:identity/*", "${local.ses}:configuration-set/${var.name}"]
  }

  statement {
    sid       = "Alerts"
    actions   = ["sns:Publish", "sns:ListSubscriptionsByTopic"]
    resources = [local.topic_arn]
  }

  # IAM knows no resource for metrics: the namespace is what narrows it.
  statement {
    sid       = "Metrics"
    actions   = ["cloudwatch:PutMetricData"]
    resources = ["*"]

    condition {
      test     = "StringEquals"
      variable = "cloudwatch:namespace"
      values   = [local.metrics_namespace]
    }
  }

  # IAM knows no resource for any of these: the account's sending state, its suppression list, its exports by name, and
  # the data that Lake Formation has granted the role, where a table is registered with it.
  statement {
    sid = "WithoutResource"
    actions = [
      "ses:GetAccount", "ses:GetSuppressedDestination", "bcm-data-exports:ListExports", "lakeformation:GetDataAccess",
    ]
    resources = ["*"]
  }
}

# --- the organization -------------------------------------------------------------------------------------------------

data "aws_iam_policy_document" "organization_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "AWS"
      identifiers = [aws_iam_role.task.arn]
    }
  }
}

data "aws_iam_policy_document" "organization" {
  #checkov:skip=CKV_AWS_356:IAM knows no resource for ListRoots, and the tree below is not known before it is read.
  statement {
    sid = "ReadTheTree"
    actions = [
      "organizations:ListRoots", "organizations:ListOrganizationalUnitsForParent", "organizations:ListAccountsForParent",
      "organizations:ListTagsForResource",
    ]
    resources = ["*"]
  }
}

resource "aws_iam_role" "organization" {
  count    = var.organization_role == "create" ? 1 : 0
  provider = aws.management

  name               = "${var.name}-reads-organization"
  description        = "Lists OUs and accounts for the daily cost platform"
  assume_role_policy = data.aws_iam_policy_document.organization_trust.json
}

resource "aws_iam_role_policy" "organization" {
  count    = var.organization_role == "create" ? 1 : 0
  provider = aws.management

  name   = "organization"
  role   = aws_iam_role.organization[0].id
  policy = data.aws_iam_policy_document.organization.json
}
