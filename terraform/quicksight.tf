# What QuickSight needs to read the archive: a role for its data source. Data source, data sets, refreshes and the
# dashboard are made by the code, which can look whether they took effect.

# Without a condition, as QuickSight's own roles are: it uses the role that somebody with iam:PassRole here hands to it.
data "aws_iam_policy_document" "quicksight_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["quicksight.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "quicksight" {
  statement {
    sid = "Queries"
    actions = [
      "athena:StartQueryExecution", "athena:GetQueryExecution", "athena:GetQueryResults", "athena:GetQueryResultsStream",
      "athena:StopQueryExecution", "athena:BatchGetQueryExecution", "athena:GetWorkGroup",
    ]
    resources = ["${local.athena}:workgroup/${var.name}"]
  }

  statement {
    sid       = "CatalogsByName"
    actions   = ["athena:GetDataCatalog", "athena:ListDatabases", "athena:GetDatabase", "athena:ListTableMetadata", "athena:GetTableMetadata"]
    resources = ["${local.athena}:datacatalog/AwsDataCatalog"]
  }

  # IAM knows no resource for these: the console of QuickSight lists choices with two, Lake Formation gives data by one.
  statement {
    sid       = "WithoutResource"
    actions   = ["athena:ListDataCatalogs", "athena:ListWorkGroups", "lakeformation:GetDataAccess"]
    resources = ["*"]
  }

  # Athena looks at the database `default` too, and makes it where there is none yet.
  statement {
    sid       = "DefaultDatabase"
    actions   = ["glue:GetDatabase", "glue:CreateDatabase"]
    resources = ["${local.glue}:catalog", "${local.glue}:database/default"]
  }

  statement {
    sid = "Tables"
    actions = [
      "glue:GetDatabase", "glue:GetDatabases", "glue:GetTable", "glue:GetTables", "glue:GetPartition",
      "glue:GetPartitions", "glue:BatchGetPartition",
    ]
    resources = local.catalog_of_the_archive
  }

  statement {
    sid       = "Bucket"
    actions   = ["s3:ListBucket", "s3:GetBucketLocation", "s3:ListBucketMultipartUploads"]
    resources = [local.bucket_arn]
  }

  # The tables' folders and no other: no digest, no evidence.
  statement {
    sid     = "Days"
    actions = ["s3:GetObject"]
    resources = [
      for table in values(local.contract.tables) :
      "${local.bucket_arn}/${trimprefix(table.StorageDescriptor.Location, "s3://{bucket}/")}*"
    ]
  }

  statement {
    sid       = "Results"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
    resources = ["${local.bucket_arn}/${local.results_prefix}*"]
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
        values   = ["s3.${var.region}.amazonaws.com"]
      }
    }
  }
}

resource "aws_iam_role" "quicksight" {
  count = var.quicksight ? 1 : 0

  name               = "${var.name}-quicksight"
  description        = "Reads the archive of the daily cost platform for SPICE"
  assume_role_policy = data.aws_iam_policy_document.quicksight_trust.json
}

resource "aws_iam_role_policy" "quicksight" {
  count = var.quicksight ? 1 : 0

  name   = "archive"
  role   = aws_iam_role.quicksight[0].id
  policy = data.aws_iam_policy_document.quicksight.json
}

# What `finops quicksight deploy` needs beside the task's rights, for the people or the pipeline that run it.
data "aws_iam_policy_document" "quicksight_deploy" {
  statement {
    sid = "Deploy"
    actions = [
      "quicksight:DescribeAccountSubscription",
      "quicksight:CreateDataSource", "quicksight:UpdateDataSource", "quicksight:DescribeDataSource",
      "quicksight:PassDataSource",
      "quicksight:DescribeDataSourcePermissions", "quicksight:UpdateDataSourcePermissions",
      "quicksight:CreateDataSet", "quicksight:UpdateDataSet", "quicksight:DescribeDataSet", "quicksight:PassDataSet",
      "quicksight:DescribeDataSetPermissions", "quicksight:UpdateDataSetPermissions",
      "quicksight:DescribeIngestion",
      "quicksight:CreateRefreshSchedule", "quicksight:UpdateRefreshSchedule", "quicksight:DescribeRefreshSchedule",
      "quicksight:CreateTheme", "quicksight:UpdateTheme", "quicksight:DescribeTheme",
      "quicksight:DescribeThemePermissions", "quicksight:UpdateThemePermissions",
      "quicksight:CreateDashboard", "quicksight:UpdateDashboard", "quicksight:DescribeDashboard",
      "quicksight:UpdateDashboardPublishedVersion",
      "quicksight:DescribeDashboardPermissions", "quicksight:UpdateDashboardPermissions",
    ]
    resources = [
      "arn:${local.partition}:quicksight:${var.region}:${local.account}:*/finops-*",
      "arn:${local.partition}:quicksight:${var.region}:${local.account}:dataset/finops-*/*",
      "arn:${local.partition}:quicksight:${var.region}:${local.account}:theme/CLASSIC",
      "arn:${local.partition}:quicksight:*:${local.account}:account/*",
    ]
  }
}

resource "aws_iam_policy" "quicksight_deploy" {
  count = var.quicksight ? 1 : 0

  name        = "${var.name}-quicksight-deploy"
  description = "What finops quicksight deploy needs beside the role ${var.name}-task"
  policy      = data.aws_iam_policy_document.quicksight_deploy.json
}
