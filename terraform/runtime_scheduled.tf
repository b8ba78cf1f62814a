# A task each morning, and nothing in between: EventBridge Scheduler starts one that does once what a daemon does all day
# (`finops morning`), and ends. No server, database, NAT gateway or load balancer. What it remembers is in the archive's
# bucket; Dagster's records of its runs go with the task, and `finops observe` makes them anew wherever somebody opens the UI.

locals {
  # Up to so many accounts -> CPU units and MB of a task. README.md has what was measured; a task has at least half as
  # much again, as a bill has more services and lines in one organization than in another.
  sizes_measured = {
    "50"   = { morning = [512, 1024], run = [512, 1024], single = [1024, 4096] }
    "500"  = { morning = [1024, 2048], run = [1024, 2048], single = [1024, 5120] }
    "5000" = { morning = [1024, 3072], run = [1024, 3072], single = [1024, 6144] }
  }
  size_class = var.accounts <= 50 ? "50" : var.accounts <= 500 ? "500" : "5000"
  sizes      = { for name, size in var.sizes : name => size != null ? size : local.sizes_measured[local.size_class][name] }

  # schedule.cron of the settings is the digest's deadline: the task of the morning starts then.
  deadline = split(" ", lookup(var.settings, "schedule.cron", "0 7 * * *"))
  schedules = local.scheduled ? merge(
    { morning = "cron(${local.deadline[0]} ${local.deadline[1]} * * ? *)" },
    var.readiness ? { readiness = "cron(15/30 0-11 * * ? *)" } : {},
  ) : {}

  morning_environment = merge(local.environment, {
    AWS_DEFAULT_REGION = var.region
    DAGSTER_HOME       = "/work/.finops/dagster" # on the task's own disk; the image's is that of `ecs`, with a database
  })
  morning_secrets = { for setting, arn in var.secret_settings : "FINOPS_${upper(replace(setting, ".", "__"))}" => arn }
}

resource "aws_ecs_task_definition" "morning" {
  count = local.scheduled ? 1 : 0

  family                   = "${var.name}-morning"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = local.sizes.morning[0]
  memory                   = local.sizes.morning[1]
  task_role_arn            = aws_iam_role.task.arn
  execution_role_arn       = aws_iam_role.execution[0].arn

  container_definitions = jsonencode([{
    name   = "morning"
    image  = var.image
    memory = local.sizes.morning[1] # as the container's own limit it is seen in it, and a run asks before it starts
    # Four hours, as runs have that a daemon monitors: a task that hangs would cost more than a month of mornings.
    command                = ["timeout", "14400", "finops", "morning"]
    essential              = true
    readonlyRootFilesystem = true
    stopTimeout            = 120
    linuxParameters        = { initProcessEnabled = true }
    environment            = [for key in sort(keys(local.morning_environment)) : { name = key, value = local.morning_environment[key] }]
    secrets                = [for key in sort(keys(local.morning_secrets)) : { name = key, valueFrom = local.morning_secrets[key] }]
    mountPoints            = [for folder in ["work", "tmp"] : { sourceVolume = folder, containerPath = "/${folder}", readOnly = false }]
    logConfiguration       = local.log_configuration["morning"]
  }])

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.architecture
  }

  dynamic "volume" {
    for_each = ["work", "tmp"]
    content {
      name = volume.value
    }
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_scheduler_schedule_group" "platform" {
  count = local.scheduled ? 1 : 0
  name  = var.name
}

resource "aws_scheduler_schedule" "task" {
  #checkov:skip=CKV_AWS_297:A schedule holds names of resources, and nothing of the bill.
  for_each = local.schedules

  name                         = "${var.name}-${each.key}"
  group_name                   = aws_scheduler_schedule_group.platform[0].name
  description                  = each.key == "morning" ? "Yesterday, by its deadline" : "As soon as the bill has a day; what was late or killed"
  schedule_expression          = each.value
  schedule_expression_timezone = "UTC"

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = aws_ecs_cluster.dagster[0].arn
    role_arn = aws_iam_role.scheduler[0].arn

    ecs_parameters {
      task_definition_arn     = aws_ecs_task_definition.morning[0].arn
      launch_type             = "FARGATE"
      task_count              = 1
      enable_ecs_managed_tags = true
      propagate_tags          = "TASK_DEFINITION"

      network_configuration {
        subnets          = local.own_vpc ? aws_subnet.public[*].id : var.network.private_subnet_ids
        security_groups  = [aws_security_group.task["morning"].id]
        assign_public_ip = local.own_vpc # its way out; nothing is let in
      }
    }

    # Where Fargate has no room, or ECS does not answer.
    retry_policy {
      maximum_event_age_in_seconds = 3600
      maximum_retry_attempts       = 20
    }
  }

  depends_on = [
    aws_iam_role_policy.scheduler, aws_iam_role_policy.execution, aws_iam_role_policy.task, aws_cloudwatch_log_group.dagster,
    aws_vpc_security_group_egress_rule.task_to_https, aws_route_table_association.public,
  ]
}

# --- who starts it ----------------------------------------------------------------------------------------------------

data "aws_iam_policy_document" "scheduler_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["scheduler.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = ["arn:${local.partition}:scheduler:${var.region}:${local.account}:schedule-group/${var.name}"]
    }
  }
}

data "aws_iam_policy_document" "scheduler" {
  count = local.scheduled ? 1 : 0

  statement {
    sid       = "StartTheTask"
    actions   = ["ecs:RunTask"]
    resources = ["${local.ecs}:task-definition/${var.name}-morning:*"]

    condition {
      test     = "ArnEquals"
      variable = "ecs:cluster"
      values   = [local.cluster_arn]
    }
  }
  statement {
    sid       = "TagTheTask"
    actions   = ["ecs:TagResource"]
    resources = ["${local.ecs}:task/${var.name}/*"]

    condition {
      test     = "StringEquals"
      variable = "ecs:CreateAction"
      values   = ["RunTask"]
    }
  }
  statement {
    sid       = "RolesOfTheTask"
    actions   = ["iam:PassRole"]
    resources = [aws_iam_role.task.arn, aws_iam_role.execution[0].arn]

    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["ecs-tasks.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "scheduler" {
  count = local.scheduled ? 1 : 0

  name               = "${var.name}-scheduler"
  description        = "Starts the task of the morning"
  assume_role_policy = data.aws_iam_policy_document.scheduler_trust.json
}

resource "aws_iam_role_policy" "scheduler" {
  count = local.scheduled ? 1 : 0

  name   = "scheduler"
  role   = aws_iam_role.scheduler[0].id
  policy = data.aws_iam_policy_document.scheduler[0].json
}
