# What is planned, without AWS: the provider's own validation runs, its answers are made up.

mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "444455556666" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::444455556666:role/mocked" }
  }
  mock_resource "aws_iam_policy" {
    defaults = { arn = "arn:aws:iam::444455556666:policy/mocked" }
  }
  mock_resource "aws_sesv2_email_identity" {
    defaults = { dkim_signing_attributes = { tokens = ["one", "two", "three"] } }
  }
  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:eu-west-1:444455556666:finops-alerts" }
  }
}

mock_provider "aws" {
  alias = "management"

  mock_data "aws_caller_identity" {
    defaults = { account_id = "111122223333" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::111122223333:role/finops-reads-organization" }
  }
}

mock_provider "aws" {
  alias = "billing"
}

variables {
  region  = "eu-west-1"
  mail    = { sender = "finops@example.com", recipients = ["a@example.com", "cfo@example.com"] }
  alerts  = { emails = ["ops@example.com"], daemon = true }
  runtime = "none" # runtime.tftest.hcl has it
}

run "an_account_with_everything_here" {
  command = apply

  # The archive
  assert {
    condition     = aws_s3_bucket.archive.bucket == "finops-daily-summaries-444455556666"
    error_message = "The archive's bucket is named after the account."
  }
  assert {
    condition     = aws_s3_bucket_versioning.archive.versioning_configuration[0].status == "Enabled"
    error_message = "Without versions, a day that was replaced is gone."
  }
  assert {
    condition = alltrue([for block in [aws_s3_bucket_public_access_block.archive, aws_s3_bucket_public_access_block.bill[0]] :
    block.block_public_acls && block.block_public_policy && block.ignore_public_acls && block.restrict_public_buckets])
    error_message = "No bucket is open to the public in any way."
  }
  assert {
    condition = alltrue([for controls in [aws_s3_bucket_ownership_controls.archive, aws_s3_bucket_ownership_controls.bill[0]] :
    controls.rule[0].object_ownership == "BucketOwnerEnforced"])
    error_message = "What lies in a bucket belongs to its owner."
  }
  assert {
    condition     = one(aws_s3_bucket_server_side_encryption_configuration.archive.rule).apply_server_side_encryption_by_default[0].sse_algorithm == "AES256"
    error_message = "Without a key of its own the archive is encrypted by S3's."
  }
  assert {
    condition     = !aws_s3_bucket.archive.force_destroy && !aws_s3_bucket.bill[0].force_destroy
    error_message = "`terraform destroy` keeps what is in the buckets unless somebody asked for it."
  }

  # What the archive keeps, and for how long
  assert {
    condition = { for rule in aws_s3_bucket_lifecycle_configuration.archive.rule : rule.id => rule.expiration[0].days if contains(["staging", "results", "logs"], rule.id) } == {
      staging = 7
      results = 7
      logs    = 90
    }
    error_message = "What passes is swept."
  }
  assert {
    condition     = alltrue([for rule in aws_s3_bucket_lifecycle_configuration.archive.rule : rule.status == "Enabled"])
    error_message = "Every rule is in force."
  }
  assert {
    condition     = [for rule in aws_s3_bucket_lifecycle_configuration.archive.rule : rule.noncurrent_version_expiration[0].noncurrent_days if rule.id == "replaced"] == [400]
    error_message = "Old versions are kept for the stated time."
  }
  assert {
    condition     = [for rule in aws_s3_bucket_lifecycle_configuration.archive.rule : rule.abort_incomplete_multipart_upload[0].days_after_initiation if rule.id == "uploads"] == [1]
    error_message = "Incomplete uploads are aborted."
  }
  assert {
    condition = [for rule in aws_s3_bucket_lifecycle_configuration.archive.rule : [rule.filter[0].and[0].prefix, rule.filter[0].and[0].object_size_greater_than, one(rule.transition).storage_class, one(rule.transition).days] if rule.id == "evidence"] == [
      ["evidence/bundles/", 1, "DEEP_ARCHIVE", 30]
    ]
    error_message = "The evidence moves to Deep Archive by a rule that says its size; its index does not."
  }
  assert {
    condition     = alltrue([for rule in aws_s3_bucket_lifecycle_configuration.archive.rule : length(rule.expiration) == 0 || rule.id == "uploads" || contains(["_staging/", "athena-results/", "dagster-logs/"], try(rule.filter[0].prefix, ""))])
    error_message = "No rule expires a day, a digest or evidence."
  }

  # Athena
  assert {
    condition     = aws_athena_workgroup.platform.configuration[0].enforce_workgroup_configuration && aws_athena_workgroup.platform.configuration[0].publish_cloudwatch_metrics_enabled
    error_message = "The workgroup's location and limit hold for every query, and its scans are measured."
  }
  assert {
    condition     = aws_athena_workgroup.platform.configuration[0].result_configuration[0].output_location == "s3://finops-daily-summaries-444455556666/athena-results/"
    error_message = "Results lie where a lifecycle rule sweeps them."
  }
  assert {
    condition     = aws_athena_workgroup.platform.configuration[0].bytes_scanned_cutoff_per_query == 200000000000
    error_message = "A query is stopped at the limit, in decimal gigabytes."
  }
  assert {
    condition     = aws_athena_workgroup.platform.configuration[0].engine_version[0].selected_engine_version == "Athena engine version 3"
    error_message = "The SQL is that of engine version 3."
  }

  # The catalog
  assert {
    condition     = aws_glue_catalog_database.archive.name == "finops_db" && keys(aws_glue_catalog_table.archive) == keys(local.contract.tables)
    error_message = "Every table of the contract is made, and no other."
  }
  assert {
    condition     = alltrue([for table in aws_glue_catalog_table.archive : startswith(table.storage_descriptor[0].location, "s3://finops-daily-summaries-444455556666/") && !strcontains(jsonencode(table.parameters), "{bucket}")])
    error_message = "Tables lie in the archive's bucket."
  }
  assert {
    condition     = !contains(keys(aws_glue_catalog_table.archive["ou_breakdown"].parameters), "projection.enabled")
    error_message = "Days are registered, not projected: with projection a missing day would look like an empty one."
  }

  # Mail
  assert {
    condition     = aws_sesv2_email_identity.sender[0].email_identity == "example.com"
    error_message = "The domain of the sender is verified."
  }
  assert {
    condition     = output.dkim_records["two._domainkey.example.com"] == "two.dkim.amazonses.com" && length(output.dkim_records) == 3
    error_message = "Whoever has the zone is told the records."
  }
  assert {
    condition     = toset(aws_sesv2_configuration_set_event_destination.alerts.event_destination[0].matching_event_types) == toset(["BOUNCE", "COMPLAINT", "DELIVERY_DELAY", "REJECT"])
    error_message = "Bounces, complaints and delays are told."
  }
  assert {
    condition     = keys(aws_ses_identity_notification_topic.sender) == ["Bounce", "Complaint"]
    error_message = "The identity tells of bounces and complaints of whatever is sent as it."
  }
  assert {
    condition     = aws_sesv2_configuration_set.digests.delivery_options[0].tls_policy == "REQUIRE"
    error_message = "No digest travels in clear text."
  }

  # Alarms
  assert {
    condition     = { for name, alarm in aws_cloudwatch_metric_alarm.platform : name => alarm.treat_missing_data if alarm.treat_missing_data == "breaching" } == { no-digest = "breaching", no-tick = "breaching" }
    error_message = "A platform that is not running is not silent, and nothing else cries where nothing happened."
  }
  assert {
    condition     = [aws_cloudwatch_metric_alarm.platform["no-digest"].period, aws_cloudwatch_metric_alarm.platform["no-digest"].evaluation_periods, aws_cloudwatch_metric_alarm.platform["no-digest"].comparison_operator] == [3600, 26, "LessThanThreshold"]
    error_message = "26 hours without a digest."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.platform["no-tick"].period * aws_cloudwatch_metric_alarm.platform["no-tick"].evaluation_periods == 3600
    error_message = "An hour without a tick."
  }
  assert {
    condition = alltrue([for alarm in aws_cloudwatch_metric_alarm.platform :
    alarm.period * alarm.evaluation_periods <= (alarm.period < 3600 ? 86400 : 604800) && alarm.datapoints_to_alarm == alarm.evaluation_periods])
    error_message = "CloudWatch takes a day of short periods, and a week of those from an hour on."
  }
  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.platform : alarm.alarm_actions == toset([aws_sns_topic.alerts.arn]) && alarm.ok_actions == toset([aws_sns_topic.alerts.arn])])
    error_message = "Every alarm tells people, also when it is over."
  }
  assert {
    condition = { for name, alarm in aws_cloudwatch_metric_alarm.platform : name => alarm.metric_name } == {
      bill-late    = "SourceAgeHours"
      days-missing = "DaysMissing"
      no-digest    = "DigestSent"
      no-tick      = "Tick"
      run-failed   = "RunFailed"
      run-slow     = "RunSeconds"
    }
    error_message = "Each alarm is on the metric of its name, as the platform writes it."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.platform["run-slow"].threshold == 3600 && aws_cloudwatch_metric_alarm.platform["bill-late"].threshold == 60
    error_message = "A run is slow after 60 minutes, which are 3,600 seconds; a bill is late after 60 hours."
  }
  assert {
    condition     = jsondecode(aws_cloudwatch_event_rule.task_failed.event_pattern).detail.clusterArn == ["arn:aws:ecs:eu-west-1:444455556666:cluster/finops"]
    error_message = "Only tasks of the platform's own cluster are told of."
  }

  # The bill
  assert {
    condition     = aws_bcmdataexports_export.bill[0].export[0].destination_configurations[0].s3_destination[0].s3_output_configurations[0].overwrite == "OVERWRITE_REPORT"
    error_message = "An export that keeps its older versions counts every line again."
  }
  assert {
    condition     = aws_glue_catalog_table.bill[0].storage_descriptor[0].location == "s3://finops-bill-111122223333/exports/finops-focus/data/"
    error_message = "The table lies where Data Exports delivers, in the management account's bucket."
  }
  assert {
    condition     = aws_glue_catalog_table.bill[0].parameters["storage.location.template"] == "s3://finops-bill-111122223333/exports/finops-focus/data/BILLING_PERIOD=$${billing_period}/"
    error_message = "Billing periods are found by their folder's name."
  }
  assert {
    condition     = aws_glue_catalog_table.bill[0].parameters["projection.billing_period.range"] == "2023-01,NOW" && aws_glue_catalog_table.bill[0].parameters["projection.billing_period.interval.unit"] == "MONTHS"
    error_message = "Every month is looked for, from the first one to this one."
  }
  assert {
    condition     = [for column in aws_glue_catalog_table.bill[0].storage_descriptor[0].columns : column.name] == [for name in split(", ", lower(trimsuffix(trimprefix(aws_bcmdataexports_export.bill[0].export[0].data_query[0].query_statement, "SELECT "), " FROM FOCUS_1_2_AWS"))) : name]
    error_message = "The table has the columns that are exported."
  }
  assert {
    condition     = output.settings["bill.table"] == "finops_bill.focus"
    error_message = "The platform reads that table."
  }

  # Outputs
  assert {
    condition = keys(output.settings) == [
      "aws.bucket", "aws.metrics_namespace", "aws.organizations_role_arn", "aws.region", "aws.ses_configuration_set",
      "aws.sns_topic_arn", "aws.workgroup", "bill.table", "mail.recipients", "mail.sender", "platform",
    ]
    error_message = "The settings that follow from what was made, and no others."
  }
  assert {
    condition     = local.environment["FINOPS_AWS__SES_CONFIGURATION_SET"] == "finops" && local.environment["FINOPS_PLATFORM"] == "aws"
    error_message = "The same, as a container's environment has them."
  }
}

run "choices" {
  command = apply

  variables {
    kms_key_arn = "arn:aws:kms:eu-west-1:444455556666:key/0a1b2c3d-0000-4000-8000-000000000000"
    mail        = { sender = "finops@example.com", recipients = ["a@example.com"], dns_zone_id = "Z0123456789" }
    alerts      = { slack_workspace_id = "T0123", slack_channel_id = "C0123" }
  }

  assert {
    condition = (
      one(aws_s3_bucket_server_side_encryption_configuration.archive.rule).apply_server_side_encryption_by_default[0].kms_master_key_id == var.kms_key_arn &&
      aws_athena_workgroup.platform.configuration[0].result_configuration[0].encryption_configuration[0].kms_key_arn == var.kms_key_arn &&
      aws_sns_topic.alerts.kms_master_key_id == var.kms_key_arn
    )
    error_message = "The key encrypts the bucket, the query results and the alerts."
  }
  assert {
    condition     = !contains(keys(aws_cloudwatch_metric_alarm.platform), "no-tick")
    error_message = "Where nothing of Dagster runs all the time, nobody waits for its ticks."
  }
  assert {
    condition     = length(aws_chatbot_slack_channel_configuration.alerts) == 1 && aws_chatbot_slack_channel_configuration.alerts[0].guardrail_policy_arns == tolist([aws_iam_policy.slack[0].arn])
    error_message = "The channel hears the alerts, and can do nothing beyond its own policy."
  }
  assert {
    condition     = [for record in aws_route53_record.dkim : record.name] == ["one._domainkey.example.com", "two._domainkey.example.com", "three._domainkey.example.com"]
    error_message = "SES's three records are in the zone."
  }
}

run "what_is_there_already_is_used" {
  command = apply

  variables {
    bill              = { export = "none", table = "billing.cur2", buckets = ["a-bill-bucket"] }
    organization_role = "arn:aws:iam::111122223333:role/reader"
    mail              = { sender = "finops@example.com", recipients = ["a@example.com"], identity = "none" }
  }

  assert {
    condition     = length(aws_s3_bucket.bill) + length(aws_bcmdataexports_export.bill) + length(aws_glue_catalog_table.bill) + length(aws_iam_role.organization) == 0
    error_message = "Nothing is made in the management account."
  }
  assert {
    condition     = output.settings["bill.table"] == "billing.cur2" && output.settings["aws.organizations_role_arn"] == "arn:aws:iam::111122223333:role/reader"
    error_message = "What is named is what is used."
  }
  assert {
    condition     = length(aws_sesv2_email_identity.sender) + length(aws_ses_identity_notification_topic.sender) == 0
    error_message = "Nothing of it is made or changed."
  }
}

run "an_address_and_a_file_of_accounts" {
  command = apply

  variables {
    organization_role = "none"
    settings          = { "accounts.path" = "s3://finops-daily-summaries-444455556666/accounts.csv", "bill.cost_basis" = "effective" }
    bill              = { export = "cur2" }
    mail              = { sender = "finops@example.com", recipients = ["a@example.com"], identity = "address" }
  }

  assert {
    condition     = output.settings["bill.table"] == "finops_bill.cur2" && endswith(aws_bcmdataexports_export.bill[0].export[0].data_query[0].query_statement, " FROM COST_AND_USAGE_REPORT")
    error_message = "CUR 2.0 is exported in the place of FOCUS."
  }
  assert {
    condition     = !contains(keys(output.settings), "aws.organizations_role_arn") && output.settings["bill.cost_basis"] == "effective"
    error_message = "No role is asked for, and further settings are handed on."
  }
  assert {
    condition     = aws_sesv2_email_identity.sender[0].email_identity == "finops@example.com" && output.dkim_records == {}
    error_message = "SES sends the address itself a link."
  }
}

run "refused_inputs" {
  command = plan

  variables {
    region                = "Ireland"
    name                  = "Fin Ops"
    bucket_name           = "My.Bucket"
    kms_key_arn           = "alias/mine"
    keep_replaced_days    = 1
    query_limit_gigabytes = 0
    bill                  = { export = "none" }
    settings              = { "Accounts" = "x", "smtp.password" = "hunter2" }
    mail                  = { sender = "Finance <finops@example.com>", recipients = ["a@example.com", "A@example.com"] }
    alerts                = { slack_workspace_id = "T0123" }
  }

  expect_failures = [
    var.region, var.name, var.bucket_name, var.kms_key_arn, var.keep_replaced_days, var.query_limit_gigabytes, var.bill,
    var.settings, var.mail, var.alerts,
  ]
}

run "refused_in_other_ways" {
  command = plan

  variables {
    management_role_arn           = "somebody"
    evidence_to_deep_archive_days = 0.5
    bill                          = { export = "cur" }
    organization_role             = "none"
    mail                          = { sender = "finops@example.com", recipients = [] }
    alerts                        = { emails = ["nobody"] }
  }

  expect_failures = [
    var.management_role_arn, var.evidence_to_deep_archive_days, var.bill, var.organization_role, var.mail,
    var.alerts,
  ]
}
