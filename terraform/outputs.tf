# The settings of the platform under their own names: `terraform output -json | finops settings from-terraform` writes
# them into finops.toml, and the runtime gives the same ones to its containers (local.environment).

locals {
  # Of several bills, var.settings names each one's table: "bill.azure.table".
  several_bills = anytrue([for setting in keys(var.settings) : can(regex("^bill\\.[a-z0-9_]+\\.", setting))])
  found = {
    "platform"                   = "aws"
    "bill.table"                 = local.several_bills ? "" : local.bill_table
    "mail.sender"                = var.mail.sender
    "mail.recipients"            = join(",", var.mail.recipients)
    "aws.region"                 = var.region
    "aws.bucket"                 = aws_s3_bucket.archive.bucket
    "aws.workgroup"              = aws_athena_workgroup.platform.name
    "aws.organizations_role_arn" = local.organization_role_arn
    "aws.ses_configuration_set"  = aws_sesv2_configuration_set.digests.configuration_set_name
    "aws.sns_topic_arn"          = aws_sns_topic.alerts.arn
    "aws.metrics_namespace"      = local.metrics_namespace
    "alerts.dagster_url"         = local.balanced ? "https://${var.ui.host}" : ""
  }
  settings    = merge({ for setting, value in local.found : setting => value if value != "" }, var.settings)
  environment = { for setting, value in local.settings : "FINOPS_${upper(replace(setting, ".", "__"))}" => value }
}

output "settings" {
  description = "Settings by name; lists are separated by commas, as in the environment."
  value       = local.settings
}

output "dkim_records" {
  description = "CNAME records that prove to SES that the domain is yours; empty where Route 53 has them, or none is needed."
  value = {
    for token in(var.mail.identity == "domain" && var.mail.dns_zone_id == "" ? aws_sesv2_email_identity.sender[0].dkim_signing_attributes[0].tokens : []) :
    "${token}._domainkey.${local.mail_domain}" => "${token}.dkim.amazonses.com"
  }
}

output "task_role_arn" {
  description = "Role of the platform's code, for a scheduled task of your own."
  value       = aws_iam_role.task.arn
}

output "quicksight_role_arn" {
  description = "Role for QuickSight's data source; empty where quicksight is false."
  value       = var.quicksight ? aws_iam_role.quicksight[0].arn : ""
}

output "quicksight_deploy_policy_arn" {
  description = "Policy for whoever runs `finops quicksight deploy`, beside the task's; empty where quicksight is false."
  value       = var.quicksight ? aws_iam_policy.quicksight_deploy[0].arn : ""
}
