variable "region" {
  type        = string
  description = "Region of everything, the bill's bucket too; only the export itself is made in us-east-1."

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "Must be a region such as eu-west-1."
  }
}

variable "name" {
  type        = string
  description = "First word of every name, so that one account can hold two installations."
  default     = "finops"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,18}[a-z0-9]$", var.name))
    error_message = "Must be 3 to 20 lower-case letters, digits and hyphens, beginning with a letter."
  }
}

variable "tags" {
  type        = map(string)
  description = "Tags of every resource, beside `application`."
  default     = {}
}

variable "settings" {
  type        = map(string)
  description = "Further settings of the platform by their names in docs/configuration.md, such as { \"accounts.ou_level\" = \"2\" }."
  default     = {}

  validation {
    condition     = alltrue([for setting in keys(var.settings) : can(regex("^(home|[a-z]+\\.[a-z_]+|bill\\.[a-z0-9_]+\\.[a-z_]+)$", setting))])
    error_message = "Name each setting as docs/configuration.md does: section.setting, or bill.name.setting for one of several bills."
  }
  validation {
    condition     = alltrue([for setting in keys(var.settings) : !can(regex("password|secret|token", setting))])
    error_message = "No secrets here: they would lie in the state. Give them to the task by secret_settings."
  }
  validation {
    condition = length(setintersection(keys(var.settings), [
      "bill.table", "mail.sender", "mail.recipients", "aws.region", "aws.bucket", "aws.workgroup", "aws.sns_topic_arn",
      "aws.organizations_role_arn", "aws.ses_configuration_set", "aws.endpoint_url", "aws.profile",
    ])) == 0
    error_message = "What follows from other inputs is set by those: region, name, bucket_name, bill, mail, organization_role."
  }
}

# --- archive ----------------------------------------------------------------------------------------------------------

variable "bucket_name" {
  type        = string
  description = "Bucket of the archive. Empty: <name>-daily-summaries-<account>."
  default     = ""

  validation {
    condition     = var.bucket_name == "" || can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket_name))
    error_message = "Must be a bucket's name of 3 to 63 lower-case letters, digits and hyphens."
  }
}

variable "kms_key_arn" {
  type        = string
  description = "KMS key of the bucket, the query results and the alerts' topic; README.md says what its policy must allow. Empty: S3's own keys."
  default     = ""

  validation {
    condition     = var.kms_key_arn == "" || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.kms_key_arn))
    error_message = "Must be the ARN of a key (not of an alias)."
  }
}

variable "keep_replaced_days" {
  type        = number
  description = "Days for which what was replaced or deleted in the archive is kept, for `finops restore`."
  default     = 400

  validation {
    condition     = var.keep_replaced_days >= 30 && floor(var.keep_replaced_days) == var.keep_replaced_days
    error_message = "Must be 30 or more whole days."
  }
}

variable "evidence_to_deep_archive_days" {
  type        = number
  description = "Age at which a month's evidence moves to Glacier Deep Archive."
  default     = 30

  validation {
    condition     = var.evidence_to_deep_archive_days >= 1 && floor(var.evidence_to_deep_archive_days) == var.evidence_to_deep_archive_days
    error_message = "Must be one or more whole days."
  }
}

variable "destroy_archive" {
  type        = bool
  description = "Let `terraform destroy` delete the archive and the bill's bucket with all that is in them. Apply it before."
  default     = false
}

variable "query_limit_gigabytes" {
  type        = number
  description = "What one query may scan; Athena stops it there. 200 GB are about one dollar."
  default     = 200

  validation {
    condition     = var.query_limit_gigabytes >= 1
    error_message = "Must be 1 or more."
  }
}

# --- bill and organization --------------------------------------------------------------------------------------------

variable "management_role_arn" {
  type        = string
  description = "Role in the organization's management account that Terraform assumes there. Empty: the platform runs in that account, or nothing is to be made there."
  default     = ""

  validation {
    condition     = var.management_role_arn == "" || can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:role/.+$", var.management_role_arn))
    error_message = "Must be the ARN of a role."
  }
}

variable "bill" {
  type = object({
    export         = optional(string, "focus")
    table          = optional(string, "")
    buckets        = optional(list(string), [])
    bucket_name    = optional(string, "")
    kms_key_arn    = optional(string, "")
    first_month    = optional(string, "2023-01")
    resource_ids   = optional(bool, false)
    catalog_tables = optional(list(string), [])
  })
  description = <<-EOT
    Where the bill is. `export` is `focus` or `cur2` (a Data Export, its bucket `bucket_name` and its table are made, in
    the management account and here), or `none`: then `table` is the table in Athena that is there, `buckets` are those
    that its files lie in, `catalog_tables` further tables (`database.table`) where it is a view, and `kms_key_arn` their key.
    `first_month` is the first that the table of a new export looks for. `resource_ids` has the export name the resource
    of each line, which `finops explain` then names: lines become as many as resources, which makes the export many times
    as large, and each query as much dearer. Set it before the export is made: AWS keeps that choice with it.
  EOT
  default     = {}

  validation {
    condition     = contains(["focus", "cur2", "none"], var.bill.export)
    error_message = "bill.export must be focus, cur2 or none."
  }
  validation {
    condition     = (var.bill.export == "none") == (var.bill.table != "")
    error_message = "Set bill.table, database.table, exactly where bill.export is none."
  }
  validation {
    condition     = (var.bill.export == "none") == (length(var.bill.buckets) > 0)
    error_message = "Set bill.buckets exactly where bill.export is none: the buckets that the table's files lie in."
  }
  validation {
    condition     = alltrue([for table in concat(compact([var.bill.table]), var.bill.catalog_tables) : can(regex("^[a-z0-9_]+\\.[a-z0-9_]+$", table))])
    error_message = "A table must be database.table in lower case, such as billing.cur2."
  }
  validation {
    condition     = alltrue([for bucket in var.bill.buckets : can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", bucket))])
    error_message = "bill.buckets must be names of buckets, without s3:// and prefix."
  }
  validation {
    condition     = can(regex("^20[0-9]{2}-(0[1-9]|1[0-2])$", var.bill.first_month))
    error_message = "bill.first_month must be a month such as 2023-01."
  }
}

variable "organization_role" {
  type        = string
  description = "Who owns which account: `create` makes the role in the management account that reads the organization; an ARN names one that is there; `none` where the setting accounts.path names a CSV."
  default     = "create"

  validation {
    condition     = contains(["create", "none"], var.organization_role) || can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:role/.+$", var.organization_role))
    error_message = "Must be create, none, or the ARN of a role."
  }
  validation {
    condition     = var.organization_role != "none" || contains(keys(var.settings), "accounts.path")
    error_message = "Without a role, settings must have accounts.path: whose accounts they are has to come from somewhere."
  }
}

# --- mail and alerts --------------------------------------------------------------------------------------------------

variable "mail" {
  type = object({
    sender      = string
    recipients  = list(string)
    identity    = optional(string, "domain")
    dns_zone_id = optional(string, "")
  })
  description = <<-EOT
    The digest: its sender and recipients. `identity` is what SES is to verify: `domain` (that of the sender, with DKIM),
    `address` (a link in a mail to the sender), or `none` where it is verified already. With `dns_zone_id`, a zone of
    Route 53 in this account, the domain's DKIM records are made too; else the output dkim_records has them.
  EOT

  validation {
    condition     = alltrue([for address in concat([var.mail.sender], var.mail.recipients) : can(regex("^[!-?A-~]+@[A-Za-z0-9-]+(\\.[A-Za-z0-9-]+)+$", address))])
    error_message = "Each address must be plain ASCII, name@example.com."
  }
  validation {
    condition     = length(var.mail.recipients) > 0 && length(distinct([for address in var.mail.recipients : lower(address)])) == length(var.mail.recipients)
    error_message = "mail.recipients must name at least one address, each once."
  }
  validation {
    condition     = contains(["domain", "address", "none"], var.mail.identity)
    error_message = "mail.identity must be domain, address or none."
  }
  validation {
    condition     = var.mail.dns_zone_id == "" || var.mail.identity == "domain"
    error_message = "mail.dns_zone_id is for an identity that is a domain."
  }
}

variable "alerts" {
  type = object({
    emails             = optional(list(string), [])
    slack_workspace_id = optional(string, "")
    slack_channel_id   = optional(string, "")
    run_minutes        = optional(number, 60)
    bill_age_hours     = optional(number, 60)
    daemon             = optional(bool)
  })
  description = <<-EOT
    Who is told. Each address has to follow the link of a mail that AWS sends it. The Slack workspace must have been
    authorised once in the console of Amazon Q Developer in chat applications (AWS Chatbot). `run_minutes`: how long a run
    may take; `bill_age_hours`: how old the newest data of the bill may be at a run. `daemon`: watch that Dagster's daemon
    is running; by default where `runtime` is `ecs` or `single`, as a scheduled task has none.
  EOT
  default     = {}

  validation {
    condition     = alltrue([for address in var.alerts.emails : can(regex("^[!-?A-~]+@[A-Za-z0-9-]+(\\.[A-Za-z0-9-]+)+$", address))])
    error_message = "Each address must be plain ASCII, name@example.com."
  }
  validation {
    condition     = (var.alerts.slack_workspace_id == "") == (var.alerts.slack_channel_id == "")
    error_message = "Slack needs both its workspace (T...) and its channel (C...)."
  }
  validation {
    condition     = var.alerts.run_minutes > 0 && var.alerts.bill_age_hours > 0
    error_message = "Limits must be above zero."
  }
}

# --- dashboard --------------------------------------------------------------------------------------------------------

variable "quicksight" {
  type        = bool
  description = "Make the role with which QuickSight reads the archive. QuickSight itself must be subscribed."
  default     = false
}
