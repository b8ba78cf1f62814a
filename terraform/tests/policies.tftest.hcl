# The policies as the real provider writes them; nothing is asked of AWS.

provider "aws" {
  region                      = "eu-west-1"
  access_key                  = "of-nobody"
  secret_key                  = "of-nobody"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_region_validation      = true
  skip_requesting_account_id  = true
}

provider "aws" {
  alias                       = "management"
  region                      = "eu-west-1"
  access_key                  = "of-nobody"
  secret_key                  = "of-nobody"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_region_validation      = true
  skip_requesting_account_id  = true
}

provider "aws" {
  alias                       = "billing"
  region                      = "us-east-1"
  access_key                  = "of-nobody"
  secret_key                  = "of-nobody"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_region_validation      = true
  skip_requesting_account_id  = true
}

override_data {
  target = data.aws_caller_identity.current
  values = { account_id = "444455556666" }
}

override_data {
  target = data.aws_caller_identity.management
  values = { account_id = "111122223333" }
}

override_resource {
  target          = aws_iam_role.task
  override_during = plan
  values          = { arn = "arn:aws:iam::444455556666:role/finops-task" }
}

override_resource {
  target          = aws_iam_role.organization
  override_during = plan
  values          = { arn = "arn:aws:iam::111122223333:role/finops-reads-organization" }
}

variables {
  region     = "eu-west-1"
  mail       = { sender = "finops@example.com", recipients = ["a@example.com"] }
  quicksight = true
  runtime    = "none"
}

run "policies" {
  command = plan

  # Named actions on named things
  assert {
    condition = alltrue([
      for document in [data.aws_iam_policy_document.task, data.aws_iam_policy_document.quicksight, data.aws_iam_policy_document.organization, data.aws_iam_policy_document.slack] :
      alltrue([for statement in document.statement : alltrue([for action in statement.actions : !strcontains(action, "*")])])
    ])
    error_message = "No role may do whatever begins with something."
  }
  assert {
    condition = alltrue([
      for statement in data.aws_iam_policy_document.task.statement :
      !contains(statement.resources, "*") || contains(["Metrics", "WithoutResource"], statement.sid)
    ])
    error_message = "Only what IAM knows no resource for is allowed on everything."
  }
  assert {
    condition = alltrue([
      for statement in data.aws_iam_policy_document.quicksight.statement :
      !contains(statement.resources, "*") || statement.sid == "WithoutResource"
    ])
    error_message = "QuickSight reads named things."
  }

  # The task
  assert {
    condition = alltrue(flatten([
      for statement in data.aws_iam_policy_document.task.statement : [
        for resource in statement.resources : can(regex("^arn:aws:s3:::(finops-daily-summaries-444455556666|finops-bill-111122223333)(/|$)", resource))
      ] if anytrue([for action in statement.actions : startswith(action, "s3:")])
    ]))
    error_message = "It reaches into the archive's bucket and the bill's, and into no other."
  }
  assert {
    condition = [for statement in data.aws_iam_policy_document.task.statement : statement.resources if contains(statement.actions, "s3:DeleteObject")] == [
      toset([for prefix in ["_staging/", "account-ou-map/", "anomalies/", "digests/", "dimension-scorecards/", "drivers/", "heartbeats/", "incidents/", "moved-parts/", "ou-scorecards/", "own-cost/", "refreshes/", "restatements/", "rounds/"] : "arn:aws:s3:::finops-daily-summaries-444455556666/${prefix}*"])
    ]
    error_message = "Nothing may delete a day or evidence."
  }
  assert {
    condition     = [for statement in data.aws_iam_policy_document.task.statement : one(statement.condition).values if contains(statement.actions, "ses:SendRawEmail")] == [tolist(["finops@example.com"])]
    error_message = "Mail is sent from the one sender."
  }
  assert {
    condition     = [for statement in data.aws_iam_policy_document.task.statement : one(statement.condition).variable if contains(statement.actions, "cloudwatch:PutMetricData")] == ["cloudwatch:namespace"]
    error_message = "Metrics go into the one namespace."
  }
  assert {
    condition     = [for statement in data.aws_iam_policy_document.task.statement : statement.resources if contains(statement.actions, "sts:AssumeRole")] == [toset(["arn:aws:iam::111122223333:role/finops-reads-organization"])]
    error_message = "It can become the organization's reader, and nobody else."
  }
  assert {
    condition     = one(one(data.aws_iam_policy_document.task_trust.statement).principals).identifiers == toset(["ecs-tasks.amazonaws.com"]) && length(one(data.aws_iam_policy_document.task_trust.statement).condition) == 2
    error_message = "Only tasks of this account and region can have the role."
  }

  # Buckets refuse clear text
  assert {
    condition = alltrue([
      for document in [data.aws_iam_policy_document.archive_bucket, data.aws_iam_policy_document.bill_bucket] :
      [for statement in document.statement : tolist(statement.condition)[0].values if statement.effect == "Deny" && contains(statement.actions, "s3:*") && tolist(statement.condition)[0].variable == "aws:SecureTransport"] == [tolist(["false"])]
    ])
    error_message = "Every action without TLS is denied to everybody."
  }

  # The bill's bucket
  assert {
    condition = alltrue([
      for statement in data.aws_iam_policy_document.bill_bucket.statement :
      length(statement.condition) > 0 if statement.effect == "Allow"
    ])
    error_message = "Nobody is let in without a condition."
  }
  assert {
    condition     = [for statement in data.aws_iam_policy_document.bill_bucket.statement : one(statement.condition).values if statement.sid == "ThePlatformMayRead"] == [tolist(["arn:aws:iam::444455556666:role/finops-task"])]
    error_message = "Of the platform's account, only its task reads the bill."
  }

  # The topic
  assert {
    condition = alltrue([
      for statement in data.aws_iam_policy_document.alerts_topic.statement :
      statement.effect == "Deny" || toset([for condition in statement.condition : condition.variable]) == toset(["aws:SourceAccount", "aws:SourceArn"])
    ])
    error_message = "AWS's services publish for this platform only."
  }
  assert {
    condition = toset(flatten([
      for statement in data.aws_iam_policy_document.alerts_topic.statement :
      [for principal in statement.principals : tolist(principal.identifiers)] if statement.effect == "Allow"
    ])) == toset(["cloudwatch.amazonaws.com", "events.amazonaws.com", "ses.amazonaws.com"])
    error_message = "Alarms, failed tasks and bounces reach the topic."
  }

  # QuickSight reads tables and nothing else
  assert {
    condition = alltrue(flatten([
      for statement in data.aws_iam_policy_document.quicksight.statement :
      [for resource in statement.resources : !strcontains(resource, "digests") && !strcontains(resource, "evidence")]
    ]))
    error_message = "No digest and no evidence."
  }
  assert {
    condition = [for statement in data.aws_iam_policy_document.quicksight.statement : statement.resources if contains(statement.actions, "s3:PutObject")] == [
      toset(["arn:aws:s3:::finops-daily-summaries-444455556666/athena-results/*"])
    ]
    error_message = "It writes query results only."
  }
}

run "keys_are_used_through_their_services" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:eu-west-1:444455556666:key/0a1b2c3d-0000-4000-8000-000000000000"
  }

  assert {
    condition = alltrue([
      for statement in concat(data.aws_iam_policy_document.task.statement, data.aws_iam_policy_document.quicksight.statement) :
      one(statement.condition).variable == "kms:ViaService" if anytrue([for action in statement.actions : startswith(action, "kms:")])
    ])
    error_message = "Nothing decrypts by itself."
  }
}

run "the_scheduler_starts_one_task_and_hands_it_its_roles" {
  command = plan

  variables {
    runtime = "scheduled"
    image   = "444455556666.dkr.ecr.eu-west-1.amazonaws.com/finops@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    network = { vpc_id = "vpc-1", private_subnet_ids = ["subnet-1", "subnet-2"] }
  }

  assert {
    condition = { for statement in data.aws_iam_policy_document.scheduler[0].statement : one(statement.actions) => [one(statement.condition).variable, one(one(statement.condition).values)] } == {
      "ecs:RunTask"     = ["ecs:cluster", "arn:aws:ecs:eu-west-1:444455556666:cluster/finops"]
      "ecs:TagResource" = ["ecs:CreateAction", "RunTask"]
      "iam:PassRole"    = ["iam:PassedToService", "ecs-tasks.amazonaws.com"]
    }
    error_message = "In the platform's own cluster, and nothing else."
  }
  assert {
    condition     = [for statement in data.aws_iam_policy_document.scheduler[0].statement : statement.resources if contains(statement.actions, "ecs:RunTask")] == [toset(["arn:aws:ecs:eu-west-1:444455556666:task-definition/finops-morning:*"])]
    error_message = "The task of the morning, and no other."
  }
  assert {
    condition     = one(one(data.aws_iam_policy_document.scheduler_trust.statement).principals).identifiers == toset(["scheduler.amazonaws.com"]) && [for condition in one(data.aws_iam_policy_document.scheduler_trust.statement).condition : condition.values if condition.variable == "aws:SourceArn"] == [tolist(["arn:aws:scheduler:eu-west-1:444455556666:schedule-group/finops"])]
    error_message = "Only the schedules of this platform have the role."
  }
  assert {
    condition     = toset([for statement in data.aws_iam_policy_document.execution[0].statement : statement.sid]) == toset(["Logs", "Registry", "Image"])
    error_message = "Without a database and secret settings, ECS reads no secret."
  }
}
