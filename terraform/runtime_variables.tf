variable "runtime" {
  type        = string
  description = "Where the platform runs: `scheduled` (a task each morning, and nothing in between: `finops morning`), `single` (webserver, daemon and code server in one task), `ecs` (a service each, and a task a run), or `none` (run it yourself)."
  default     = "scheduled"

  validation {
    condition     = contains(["scheduled", "single", "ecs", "none"], var.runtime)
    error_message = "Must be scheduled, single, ecs or none."
  }
  validation {
    condition     = var.runtime != "scheduled" || can(regex("^[0-5]?[0-9] ([01]?[0-9]|2[0-3]) \\* \\* \\*$", lookup(var.settings, "schedule.cron", "0 7 * * *")))
    error_message = "For a scheduled task, the setting schedule.cron must be a minute and an hour of every day, such as 0 7 * * *."
  }
}

variable "readiness" {
  type        = bool
  description = "With runtime = scheduled: a task also every half hour from 00:15 to 11:45 UTC. Each day is then mailed as soon as the bill has it, and a late bill or a task that was killed is made up for within the hour."
  default     = true
}

variable "accounts" {
  type        = number
  description = "Accounts that the organization has, or will have: the memory of tasks follows it, as measured (README.md). A task asks before it starts a run whether that fits."
  default     = 500

  validation {
    condition     = var.accounts > 0 && (var.accounts <= 5000 || alltrue([for size in [var.sizes.run, var.sizes.single, var.sizes.morning] : size != null]))
    error_message = "Must be 1 to 5000, as far as was measured; beyond that set sizes.morning, sizes.run and sizes.single, too."
  }
}

variable "image" {
  type        = string
  description = "The image of the Dockerfile, best by its digest: the output repository_url says where to push it."
  default     = ""

  validation {
    condition     = var.runtime == "none" || var.image != ""
    error_message = "A runtime needs an image, and an image a place: apply once with -var runtime=none, push the image to the output repository_url, then set image."
  }
  validation {
    condition     = var.image == "" || can(regex("^[a-z0-9][^[:space:]]*(@sha256:[0-9a-f]{64}|:[A-Za-z0-9_][A-Za-z0-9_.-]*)$", var.image)) && !endswith(var.image, ":latest")
    error_message = "Name one image, by digest (...@sha256:...) or by a tag of its own: `latest` is another one tomorrow."
  }
}

variable "architecture" {
  type        = string
  description = "What the image was built for: X86_64, or ARM64 where every dependency has a wheel for it; the build fails where one has not."
  default     = "X86_64"

  validation {
    condition     = contains(["X86_64", "ARM64"], var.architecture)
    error_message = "Must be X86_64 or ARM64."
  }
}

variable "network" {
  type = object({
    vpc_id             = optional(string, "")
    private_subnet_ids = optional(list(string), [])
    public_subnet_ids  = optional(list(string), [])
    cidr               = optional(string, "10.40.0.0/24")
    egress_ports       = optional(list(number), [])
  })
  description = <<-EOT
    Where tasks and database are. Without `vpc_id` a small VPC is made: `cidr` in two zones, with one NAT gateway where
    `runtime` is `ecs` or `single`; a scheduled task has a public address instead, and lets nothing in. A VPC of your own needs two private subnets in two zones with a way to AWS's endpoints, and two public ones for a load balancer on
    the internet. Tasks reach HTTPS and the database; `egress_ports` are further ones, such as 587 for an SMTP server.
  EOT
  default     = {}

  validation {
    condition     = (var.network.vpc_id != "") == (length(var.network.private_subnet_ids) > 0)
    error_message = "Give network.vpc_id and network.private_subnet_ids, or neither."
  }
  validation {
    condition     = var.network.vpc_id == "" || length(distinct(var.network.private_subnet_ids)) >= 2
    error_message = "network.private_subnet_ids must be two or more, in two zones: the database asks for it."
  }
  validation {
    condition     = var.network.vpc_id != "" || length(var.network.public_subnet_ids) == 0
    error_message = "network.public_subnet_ids go with a network.vpc_id."
  }
  validation {
    condition     = can(cidrsubnets(var.network.cidr, 2, 2, 2, 2)) && try(tonumber(split("/", var.network.cidr)[1]) <= 26, false)
    error_message = "network.cidr must be an IPv4 range of /26 or larger, such as 10.40.0.0/24."
  }
}

variable "ui" {
  type = object({
    reach              = optional(string, "internal")
    host               = optional(string, "")
    certificate_arn    = optional(string, "")
    zone_id            = optional(string, "")
    allowed_cidrs      = optional(list(string), [])
    access_logs_bucket = optional(string, "")
    cognito = optional(object({
      user_pool_arn = string
      client_id     = string
      domain        = string
    }))
    oidc = optional(object({
      issuer                 = string
      authorization_endpoint = string
      token_endpoint         = string
      user_info_endpoint     = string
      client_id              = string
      scope                  = optional(string, "openid email")
    }))
  })
  description = <<-EOT
    How people reach Dagster's UI, which has no login of its own. `reach`: `internal` (a load balancer inside the VPC),
    `internet` (one that everybody in `allowed_cidrs` reaches, with a login), or `tunnel` (none: a session of AWS Systems
    Manager, by IAM; the output ui_tunnel has the commands). A load balancer needs `host`, the name that people type, and
    `certificate_arn` for it; with `zone_id` its record in Route 53 is made. The login is `cognito` (a user pool with an
    app client that has a secret) or `oidc` (with oidc_client_secret); both answer at https://<host>/oauth2/idpresponse.
    `allowed_cidrs`: for `internal`, empty means the VPC.
  EOT
  default     = {}

  validation {
    condition     = contains(["internal", "internet", "tunnel"], var.ui.reach)
    error_message = "ui.reach must be internal, internet or tunnel."
  }
  validation {
    condition     = var.ui.reach != "internet" || var.ui.cognito != null || var.ui.oidc != null
    error_message = "A load balancer on the internet without a login would give the platform to everybody: set ui.cognito or ui.oidc."
  }
  validation {
    condition     = var.ui.reach != "internet" || length(var.ui.allowed_cidrs) > 0
    error_message = "Say who may reach a load balancer on the internet: ui.allowed_cidrs, [\"0.0.0.0/0\"] for everybody who can log in."
  }
  validation {
    condition     = var.ui.reach != "internal" || alltrue([for cidr in var.ui.allowed_cidrs : tonumber(split("/", cidr)[1]) >= 8])
    error_message = "ui.allowed_cidrs of an internal load balancer must be networks of yours, none wider than /8."
  }
  validation {
    condition     = alltrue([for cidr in var.ui.allowed_cidrs : can(cidrhost(cidr, 0))])
    error_message = "ui.allowed_cidrs must be networks such as 10.0.0.0/8."
  }
  validation {
    condition     = var.ui.cognito == null || var.ui.oidc == null
    error_message = "One login: ui.cognito or ui.oidc."
  }
  validation {
    condition     = !contains(["ecs", "single"], var.runtime) || var.ui.reach == "tunnel" || (var.ui.host != "" && var.ui.certificate_arn != "")
    error_message = "A load balancer needs ui.host and ui.certificate_arn; without a certificate set ui.reach = \"tunnel\"."
  }
  validation {
    condition     = var.ui.reach != "internet" || var.network.vpc_id == "" || length(distinct(var.network.public_subnet_ids)) >= 2
    error_message = "A load balancer on the internet needs two network.public_subnet_ids of that VPC."
  }
  validation {
    condition     = var.ui.certificate_arn == "" || can(regex("^arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/[A-Za-z0-9-]+$", var.ui.certificate_arn))
    error_message = "ui.certificate_arn must be a certificate of ACM in this region."
  }
}

variable "oidc_client_secret" {
  type        = string
  description = "Client secret of ui.oidc, by TF_VAR_oidc_client_secret. The one secret that lies in the state, as the load balancer's API takes it in no other way; a Cognito login has none."
  default     = ""
  sensitive   = true

  validation {
    condition     = (var.ui.oidc != null) == (var.oidc_client_secret != "")
    error_message = "Set oidc_client_secret exactly where ui.oidc is set."
  }
}

variable "secret_settings" {
  type        = map(string)
  description = "Settings that are secrets: name -> ARN of a secret in Secrets Manager, such as { \"smtp.password\" = \"arn:...\" }."
  default     = {}

  validation {
    condition     = alltrue([for setting in keys(var.secret_settings) : can(regex("^[a-z]+\\.[a-z_]+$", setting))])
    error_message = "Name each setting as docs/configuration.md does: section.setting."
  }
  validation {
    condition     = alltrue([for arn in values(var.secret_settings) : can(regex("^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[^[:space:]]+$", arn))])
    error_message = "Each value must be the ARN of a secret, never the secret itself."
  }
}

variable "sizes" {
  type = object({
    webserver = optional(list(number), [512, 1024])
    daemon    = optional(list(number), [512, 1024])
    code      = optional(list(number), [512, 2048])
    run       = optional(list(number))
    single    = optional(list(number))
    morning   = optional(list(number))
  })
  description = "CPU units and MB of memory of each task, as Fargate sells them. Those of `morning`, `run` and `single` follow `accounts` where they are not set."
  default     = {}

  validation {
    condition = alltrue([
      for size in values(var.sizes) : size == null ? true : length(size) == 2 && contains([256, 512, 1024, 2048, 4096, 8192, 16384], size[0]) &&
      size[1] >= 2 * size[0] && size[1] <= 8 * size[0]
    ])
    error_message = "Each size must be [CPU units, MB], with two to eight GB for a vCPU (1024 units)."
  }
}

variable "database" {
  type = object({
    instance_class = optional(string, "db.t4g.micro")
    version        = optional(string, "17")
    gigabytes      = optional(number, 20)
    gigabytes_most = optional(number, 100)
    multi_az       = optional(bool, false)
    backup_days    = optional(number, 14)
    rotate_days    = optional(number, 30)
  })
  description = "Dagster's PostgreSQL: history, schedules, queues; no cost data. It grows by itself up to `gigabytes_most`. Its password is changed each `rotate_days` by RDS; tasks that have the old one are replaced."
  default     = {}

  validation {
    condition     = var.database.backup_days >= 1 && var.database.backup_days <= 35
    error_message = "database.backup_days must be 1 to 35."
  }
  validation {
    condition     = var.database.gigabytes >= 20 && var.database.gigabytes_most > var.database.gigabytes
    error_message = "database.gigabytes must be 20 or more, gigabytes_most above it."
  }
  validation {
    condition     = var.database.rotate_days >= 1 && var.database.rotate_days <= 1000
    error_message = "database.rotate_days must be 1 to 1000."
  }
  validation {
    condition     = can(regex("^1[4-9]$", var.database.version))
    error_message = "database.version must be a major version of PostgreSQL, 14 to 19; minor ones are RDS's."
  }
}

variable "log_days" {
  type        = number
  description = "Days for which the containers' logs are kept."
  default     = 90

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_days)
    error_message = "Must be a number of days that CloudWatch knows, such as 30, 90 or 365."
  }
}

variable "deletion_protection" {
  type        = bool
  description = "Keep `terraform destroy` from database and load balancer. To tear down, apply `false` first: it also lets the images and the last snapshot go."
  default     = true
}

variable "wait_until_healthy" {
  type        = bool
  description = "`terraform apply` ends when the services are healthy, and fails where a deployment was rolled back."
  default     = true
}
