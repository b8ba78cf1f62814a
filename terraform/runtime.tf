# Dagster on ECS Fargate. `scheduled`: a task each morning, and nothing in between (runtime_scheduled.tf). `ecs`: code
# server, webserver and daemon are services, each run is a task of its own. `single`: the three are containers of one
# task, and runs are processes beside the code server: the same image and the same database, a third of the tasks; a
# deployment ends a run that is under way, which is then tried again.

locals {
  # Service -> its containers.
  services = {
    ecs       = { code = ["code"], webserver = ["webserver"], daemon = ["daemon"] }
    single    = { single = ["code", "webserver", "daemon"] }
    scheduled = {}
    none      = {}
  }[var.runtime]
  runs        = var.runtime != "none"
  scheduled   = var.runtime == "scheduled"
  served      = local.separate || var.runtime == "single" # a server that always runs: it needs a database, and has a UI
  web_service = var.runtime == "single" ? "single" : "webserver"
  separate    = var.runtime == "ecs"
  tunnelled   = local.served && var.ui.reach == "tunnel"

  log_group  = "/${var.name}/dagster"
  logs_arn   = "arn:${local.partition}:logs:${var.region}:${local.account}:log-group:${local.log_group}"
  ecs        = "arn:${local.partition}:ecs:${var.region}:${local.account}"
  repository = "arn:${local.partition}:ecr:${var.region}:${local.account}:repository/${var.name}"
  namespace  = "${var.name}.internal"

  # The registry of the image, where it is one of ECR's: account, region, repository.
  ecr     = try(regex("^([0-9]{12})\\.dkr\\.ecr\\.([a-z0-9-]+)\\.amazonaws\\.com/([^:@]+)", var.image), [])
  ecr_arn = length(local.ecr) == 0 ? "" : "arn:${local.partition}:ecr:${local.ecr[1]}:${local.ecr[0]}:repository/${local.ecr[2]}"

  database_secret = one(aws_db_instance.dagster[*].master_user_secret[0].secret_arn)

  # What all of them need; only the code, and runs, get the platform's settings beside it.
  dagster_environment = local.served ? {
    AWS_DEFAULT_REGION    = var.region
    DAGSTER_HOME          = "/opt/dagster/${var.runtime}"
    DAGSTER_POSTGRES_HOST = aws_db_instance.dagster[0].address
    DAGSTER_POSTGRES_USER = aws_db_instance.dagster[0].username
    DAGSTER_POSTGRES_DB   = aws_db_instance.dagster[0].db_name
    DAGSTER_CODE_HOST     = local.separate ? "code.${local.namespace}" : "127.0.0.1"
    FINOPS_AWS__BUCKET    = aws_s3_bucket.archive.id
  } : {}
  launcher_environment = local.separate ? { DAGSTER_RUN_TASK_DEFINITION = aws_ecs_task_definition.run[0].arn } : {}
  code_environment     = merge(local.dagster_environment, local.environment)
  ui_environment       = local.balanced ? { DAGSTER_UI_URL = "https://${var.ui.host}" } : {} # the one origin it answers

  containers = {
    code = {
      port        = 4000
      environment = local.code_environment
      secrets     = local.code_secrets
    }
    webserver = {
      port        = 3000
      environment = merge(local.dagster_environment, local.launcher_environment, local.ui_environment)
      secrets     = local.database_secrets
    }
    daemon = {
      port        = null
      environment = merge(local.dagster_environment, local.launcher_environment)
      secrets     = local.database_secrets
    }
  }
  database_secrets = local.served ? { DAGSTER_POSTGRES_PASSWORD = "${local.database_secret}:password::" } : {}
  code_secrets = merge(local.database_secrets, {
    for setting, arn in var.secret_settings : "FINOPS_${upper(replace(setting, ".", "__"))}" => arn
  })

  # The daemon sees by a file lock whether a run, which is a process of the code server's container, still lives.
  shares_locks = { for name in keys(local.containers) : name => var.runtime == "single" && name != "webserver" }

  # A shell's or tunnel's agent writes into the container; without one, only the mounted folders can be written to.
  definitions = {
    for name, container in local.containers : name => {
      name                   = name
      image                  = var.image
      command                = ["start", name]
      essential              = true
      readonlyRootFilesystem = !local.tunnelled
      stopTimeout            = 120
      linuxParameters        = { initProcessEnabled = true }
      environment            = [for key in sort(keys(container.environment)) : { name = key, value = container.environment[key] }]
      secrets                = [for key in sort(keys(container.secrets)) : { name = key, valueFrom = container.secrets[key] }]
      portMappings           = container.port == null ? [] : [{ containerPort = container.port, hostPort = container.port, protocol = "tcp" }]
      mountPoints = concat(
        [for folder in ["work", "tmp"] : { sourceVolume = "${name}-${folder}", containerPath = "/${folder}", readOnly = false }],
        local.shares_locks[name] ? [{ sourceVolume = "run-locks", containerPath = "/run-locks", readOnly = false }] : []
      )
      logConfiguration = local.log_configuration[name]
      dependsOn        = var.runtime == "single" && name != "code" ? [{ containerName = "code", condition = "HEALTHY" }] : []
      healthCheck = {
        command     = ["CMD", "python", "/opt/finops/healthcheck.py", name]
        interval    = 60
        timeout     = 30
        retries     = 3
        startPeriod = 180
      }
    }
  }
  log_configuration = {
    for name in ["code", "webserver", "daemon", "run", "morning"] : name => {
      logDriver = "awslogs"
      options = {
        awslogs-group         = local.log_group
        awslogs-region        = var.region
        awslogs-stream-prefix = name
      }
    }
  }
}

# --- image and logs ---------------------------------------------------------------------------------------------------

resource "aws_ecr_repository" "image" {
  #checkov:skip=CKV_AWS_136:Encrypted by ECR's own keys; the image holds no secret.
  name                 = var.name
  image_tag_mutability = "IMMUTABLE"
  force_delete         = !var.deletion_protection

  image_scanning_configuration {
    scan_on_push = true
  }
}

resource "aws_ecr_lifecycle_policy" "image" {
  repository = aws_ecr_repository.image.name

  policy = jsonencode({
    rules = [{
      rulePriority = 1
      description  = "Twenty images are enough to go back to"
      selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 20 }
      action       = { type = "expire" }
    }]
  })
}

resource "aws_cloudwatch_log_group" "dagster" {
  #checkov:skip=CKV_AWS_158:Encrypted by CloudWatch's own keys; a key of the account's would need a policy for it.
  #checkov:skip=CKV_AWS_338:How long is the account's own choice: log_days.
  count = local.runs ? 1 : 0

  name              = local.log_group
  retention_in_days = var.log_days
}

# --- who may what -----------------------------------------------------------------------------------------------------

# ECS itself, before a container starts: its image, its secrets, its log stream.
resource "aws_iam_role" "execution" {
  count = local.runs ? 1 : 0

  name               = "${var.name}-execution"
  description        = "Starts the platform's containers: image, secrets, log streams"
  assume_role_policy = data.aws_iam_policy_document.task_trust.json
}

resource "aws_iam_role_policy" "execution" {
  count = local.runs ? 1 : 0

  name   = "start"
  role   = aws_iam_role.execution[0].id
  policy = data.aws_iam_policy_document.execution[0].json
}

data "aws_iam_policy_document" "execution" {
  #checkov:skip=CKV_AWS_356:ecr:GetAuthorizationToken knows no resource; what it opens is named below it.
  count = local.runs ? 1 : 0

  statement {
    sid       = "Logs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${local.logs_arn}:log-stream:*"]
  }
  dynamic "statement" {
    for_each = local.served || length(var.secret_settings) > 0 ? ["Secrets"] : []
    content {
      sid       = statement.value
      actions   = ["secretsmanager:GetSecretValue"]
      resources = concat(aws_db_instance.dagster[*].master_user_secret[0].secret_arn, values(var.secret_settings))
    }
  }
  dynamic "statement" {
    for_each = local.ecr_arn == "" ? {} : {
      Registry = { actions = ["ecr:GetAuthorizationToken"], resources = ["*"] } # IAM knows no resource for it
      Image    = { actions = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"], resources = [local.ecr_arn] }
    }
    content {
      sid       = statement.key
      actions   = statement.value.actions
      resources = statement.value.resources
    }
  }
  dynamic "statement" {
    for_each = var.kms_key_arn == "" ? [] : [var.kms_key_arn]
    content {
      sid       = "Key"
      actions   = ["kms:Decrypt"]
      resources = [statement.value]

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["secretsmanager.${var.region}.amazonaws.com"]
      }
    }
  }
}

# The webserver, which people reach, and the daemon, which starts runs, do no cost work: neither sees the bill or the
# archive, and neither can mail.
resource "aws_iam_role" "dagster" {
  for_each = toset(local.separate ? ["webserver", "daemon"] : [])

  name               = "${var.name}-${each.key}"
  description        = "Dagster's ${each.key}"
  assume_role_policy = data.aws_iam_policy_document.task_trust.json
}

resource "aws_iam_role_policy" "dagster" {
  for_each = toset(local.separate ? ["webserver", "daemon"] : [])

  name   = each.key
  role   = aws_iam_role.dagster[each.key].id
  policy = each.key == "daemon" ? data.aws_iam_policy_document.daemon[0].json : data.aws_iam_policy_document.webserver[0].json
}

data "aws_iam_policy_document" "runs" {
  #checkov:skip=CKV_AWS_356:ecs:DescribeTaskDefinition knows no resource.
  count = local.separate ? 1 : 0

  # The launcher looks at its task definition when it is made; a run is ended from the UI. IAM knows no resource for the
  # first.
  statement {
    sid       = "RunDefinition"
    actions   = ["ecs:DescribeTaskDefinition"]
    resources = ["*"]
  }
  statement {
    sid       = "Runs"
    actions   = ["ecs:DescribeTasks", "ecs:StopTask"]
    resources = ["${local.ecs}:task/${var.name}/*"]
  }
}

data "aws_iam_policy_document" "webserver" {
  count                   = local.separate ? 1 : 0
  source_policy_documents = [data.aws_iam_policy_document.runs[0].json]

  statement {
    sid       = "WhatRunsPrinted"
    actions   = ["s3:GetObject"]
    resources = ["${local.bucket_arn}/${local.logs_prefix}*"]
  }
  # A run's logs are found by their prefix.
  statement {
    sid       = "WhichLogsThereAre"
    actions   = ["s3:ListBucket"]
    resources = [local.bucket_arn]

    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = ["${local.logs_prefix}*"]
    }
  }
  dynamic "statement" {
    for_each = var.kms_key_arn == "" ? [] : [var.kms_key_arn]
    content {
      sid       = "Key"
      actions   = ["kms:Decrypt"]
      resources = [statement.value]

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["s3.${var.region}.amazonaws.com"]
      }
    }
  }
}

data "aws_iam_policy_document" "daemon" {
  #checkov:skip=CKV_AWS_356:ec2:DescribeNetworkInterfaces knows no resource; it lets nothing be changed.
  count                   = local.separate ? 1 : 0
  source_policy_documents = [data.aws_iam_policy_document.runs[0].json]

  statement {
    sid       = "StartRuns"
    actions   = ["ecs:RunTask"]
    resources = ["${local.ecs}:task-definition/${var.name}-run:*"]

    condition {
      test     = "ArnEquals"
      variable = "ecs:cluster"
      values   = [local.cluster_arn]
    }
  }
  statement {
    sid       = "TagRuns"
    actions   = ["ecs:TagResource"]
    resources = ["${local.ecs}:task/${var.name}/*"]

    condition {
      test     = "StringEquals"
      variable = "ecs:CreateAction"
      values   = ["RunTask"]
    }
  }
  statement {
    sid       = "RolesOfRuns"
    actions   = ["iam:PassRole"]
    resources = [aws_iam_role.task.arn, aws_iam_role.execution[0].arn]

    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["ecs-tasks.amazonaws.com"]
    }
  }
  # Where the daemon itself is: runs get its subnet and its security group. IAM knows no resource for it.
  statement {
    sid       = "OwnNetwork"
    actions   = ["ec2:DescribeNetworkInterfaces"]
    resources = ["*"]
  }
  statement {
    sid       = "LastWordsOfRuns"
    actions   = ["logs:GetLogEvents"]
    resources = ["${local.logs_arn}:log-stream:run/*"]
  }
}

# The tunnel of Systems Manager (ECS Exec). Who may open one is IAM's: ssm:StartSession on the task.
data "aws_iam_policy_document" "tunnel" {
  #checkov:skip=CKV_AWS_111:These four are the agent's channel back; they know no resource.
  #checkov:skip=CKV_AWS_356:These four are the agent's channel back; they know no resource.
  statement {
    sid = "Tunnel"
    actions = [
      "ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel",
      "ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel",
    ]
    resources = ["*"]
  }
}

resource "aws_iam_role_policy" "tunnel" {
  count = local.tunnelled ? 1 : 0

  name   = "tunnel"
  role   = local.separate ? aws_iam_role.dagster["webserver"].id : aws_iam_role.task.id
  policy = data.aws_iam_policy_document.tunnel.json
}

# --- tasks and services -----------------------------------------------------------------------------------------------

resource "aws_ecs_cluster" "dagster" {
  #checkov:skip=CKV_AWS_65:Container Insights cost more than this platform; failed tasks and missing days have alarms.
  count = local.runs ? 1 : 0
  name  = var.name
}

resource "aws_ecs_task_definition" "service" {
  #checkov:skip=CKV_AWS_336:Read-only except where a tunnel's agent has to write (ui.reach = "tunnel").
  for_each = local.services

  family                   = "${var.name}-${each.key}"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = local.sizes[each.key][0]
  memory                   = local.sizes[each.key][1]
  task_role_arn            = contains(["webserver", "daemon"], each.key) ? aws_iam_role.dagster[each.key].arn : aws_iam_role.task.arn
  execution_role_arn       = aws_iam_role.execution[0].arn
  container_definitions    = jsonencode([for name in each.value : local.definitions[name]])

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.architecture
  }

  dynamic "volume" {
    for_each = concat(
      [for pair in setproduct(each.value, ["work", "tmp"]) : join("-", pair)],
      each.key == "single" ? ["run-locks"] : []
    )
    content {
      name = volume.value
    }
  }

  # The old revision stays until the new one is healthy: a deployment that fails goes back to it.
  lifecycle {
    create_before_destroy = true
  }
}

# What the daemon starts for a run. The launcher sets the command; everything else is here.
resource "aws_ecs_task_definition" "run" {
  count = local.separate ? 1 : 0

  family                   = "${var.name}-run"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = local.sizes.run[0]
  memory                   = local.sizes.run[1]
  task_role_arn            = aws_iam_role.task.arn
  execution_role_arn       = aws_iam_role.execution[0].arn

  container_definitions = jsonencode([{
    name                   = "run"
    image                  = var.image
    memory                 = local.sizes.run[1] # as the container's own limit it is seen in it, and a run asks before it starts
    command                = ["dagster", "--version"]
    essential              = true
    readonlyRootFilesystem = true
    stopTimeout            = 120
    linuxParameters        = { initProcessEnabled = true }
    environment            = [for key in sort(keys(local.code_environment)) : { name = key, value = local.code_environment[key] }]
    secrets                = [for key in sort(keys(local.code_secrets)) : { name = key, valueFrom = local.code_secrets[key] }]
    mountPoints            = [for folder in ["work", "tmp"] : { sourceVolume = folder, containerPath = "/${folder}", readOnly = false }]
    logConfiguration       = local.log_configuration["run"]
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

resource "aws_ecs_service" "dagster" {
  for_each = local.services

  name            = each.key
  cluster         = aws_ecs_cluster.dagster[0].id
  task_definition = aws_ecs_task_definition.service[each.key].arn
  desired_count   = 1
  launch_type     = "FARGATE"

  # Two daemons at once would each start what is due: the old one ends before the new one begins.
  deployment_minimum_healthy_percent = contains(each.value, "daemon") ? 0 : 100
  deployment_maximum_percent         = contains(each.value, "daemon") ? 100 : 200

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = local.private
    security_groups  = [aws_security_group.task[each.key].id]
    assign_public_ip = false
  }

  dynamic "service_registries" {
    for_each = each.key == "code" ? aws_service_discovery_service.code : []
    content {
      registry_arn = service_registries.value.arn
    }
  }

  dynamic "load_balancer" {
    for_each = each.key == local.web_service ? aws_lb_target_group.webserver : []
    content {
      target_group_arn = load_balancer.value.arn
      container_name   = "webserver"
      container_port   = 3000
    }
  }

  health_check_grace_period_seconds = each.key == local.web_service && local.balanced ? 180 : null
  enable_execute_command            = local.tunnelled && each.key == local.web_service
  enable_ecs_managed_tags           = true
  propagate_tags                    = "SERVICE"
  wait_for_steady_state             = var.wait_until_healthy

  # A task that starts before its policies are there fails, and the circuit breaker counts it.
  depends_on = [
    aws_iam_role_policy.execution, aws_iam_role_policy.dagster, aws_iam_role_policy.task, aws_iam_role_policy.tunnel,
    aws_lb_listener_rule.ui, aws_lb_listener_rule.no_questions_in_addresses, aws_lb_listener_rule.no_foreign_requests, aws_lb_listener_rule.no_forms,
    aws_cloudwatch_log_group.dagster, aws_secretsmanager_secret_rotation.database,
    aws_vpc_security_group_egress_rule.task_to_https, aws_vpc_security_group_egress_rule.task_to_database,
    aws_vpc_security_group_ingress_rule.database, aws_route_table_association.private,
  ]
}

# Where webserver and daemon find the code server: code.<name>.internal.
resource "aws_service_discovery_private_dns_namespace" "dagster" {
  count = local.separate ? 1 : 0

  name        = local.namespace
  description = "The platform's own services"
  vpc         = local.vpc_id
}

resource "aws_service_discovery_service" "code" {
  count = local.separate ? 1 : 0

  name          = "code"
  force_destroy = true

  dns_config {
    namespace_id   = aws_service_discovery_private_dns_namespace.dagster[0].id
    routing_policy = "MULTIVALUE"

    dns_records {
      type = "A"
      ttl  = 10
    }
  }
  health_check_custom_config {
    failure_threshold = 1
  }
}

# --- the UI's load balancer -------------------------------------------------------------------------------------------

resource "aws_lb" "ui" {
  #checkov:skip=CKV_AWS_91:ui.access_logs_bucket names a bucket for them, which has to let the load balancers' account write.
  #checkov:skip=CKV_AWS_150:deletion_protection is on unless the account is torn down.
  #checkov:skip=CKV2_AWS_20:There is no listener on port 80 that could redirect.
  #checkov:skip=CKV2_AWS_28:A firewall is the account's own; what is let through has logged in, or comes from inside.
  count = local.balanced ? 1 : 0

  name                       = "${var.name}-ui"
  internal                   = var.ui.reach != "internet"
  load_balancer_type         = "application"
  subnets                    = var.ui.reach == "internet" ? local.public : local.private
  security_groups            = [aws_security_group.load_balancer[0].id]
  drop_invalid_header_fields = true
  enable_deletion_protection = var.deletion_protection
  idle_timeout               = 300

  dynamic "access_logs" {
    for_each = var.ui.access_logs_bucket == "" ? [] : [var.ui.access_logs_bucket]
    content {
      bucket  = access_logs.value
      prefix  = "${var.name}-ui"
      enabled = true
    }
  }
}

resource "aws_lb_target_group" "webserver" {
  #checkov:skip=CKV_AWS_378:The last step, from the load balancer to the container, is inside the VPC and lets nothing else in.
  count = local.balanced ? 1 : 0

  name                 = "${var.name}-webserver"
  vpc_id               = local.vpc_id
  target_type          = "ip"
  protocol             = "HTTP"
  port                 = 3000
  deregistration_delay = 30

  health_check {
    path                = "/server_info"
    matcher             = "200"
    interval            = 30
    timeout             = 10
    healthy_threshold   = 2
    unhealthy_threshold = 5
  }
}

# What asks for another name than the UI's gets nothing: neither a scan of addresses nor a page that rebinds its name.
resource "aws_lb_listener" "https" {
  count = local.balanced ? 1 : 0

  load_balancer_arn = aws_lb.ui[0].arn
  port              = 443
  protocol          = "HTTPS"
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn   = var.ui.certificate_arn

  default_action {
    type = "fixed-response"

    fixed_response {
      content_type = "text/plain"
      message_body = "Nothing here."
      status_code  = "404"
    }
  }
}

# Requests of foreign pages. The webserver itself refuses them all (finops_assets/defs/same_origin.py); what a condition
# can say is refused here too, before anything is forwarded. It cannot say "of another origin than ours": a WebSocket,
# for which Chromium sends an Origin and no Sec-Fetch-Site, and a query under another spelling of the path are the
# webserver's.

# Dagster's webserver executes a GraphQL query, one that changes things too, from the address of a request: a link on any
# page could start runs in the name of who follows it. The UI itself asks in the body, as JSON.
resource "aws_lb_listener_rule" "no_questions_in_addresses" {
  count = local.balanced ? 1 : 0

  listener_arn = aws_lb_listener.https[0].arn
  priority     = 1

  condition {
    path_pattern {
      values = ["/graphql*"]
    }
  }
  condition {
    query_string {
      key   = "query"
      value = "*"
    }
  }
  action {
    type = "fixed-response"

    fixed_response {
      content_type = "text/plain"
      message_body = "Ask in the body, as JSON."
      status_code  = "403"
    }
  }
}

# Scripts, images and the like of other origins, by what the browser says of them. A link that a tab opens passes.
resource "aws_lb_listener_rule" "no_foreign_requests" {
  count = local.balanced ? 1 : 0

  listener_arn = aws_lb_listener.https[0].arn
  priority     = 2

  condition {
    http_header {
      http_header_name = "Sec-Fetch-Site"
      values           = ["cross-site", "same-site"]
    }
  }
  condition {
    http_header {
      http_header_name = "Sec-Fetch-Mode"
      values           = ["cors", "no-cors", "websocket"]
    }
  }
  action {
    type = "fixed-response"

    fixed_response {
      content_type = "text/plain"
      message_body = "The UI answers its own pages only."
      status_code  = "403"
    }
  }
}

# What a form sends, whatever follows the type: "text/plain; application/json" would pass for JSON with Dagster.
resource "aws_lb_listener_rule" "no_forms" {
  count = local.balanced ? 1 : 0

  listener_arn = aws_lb_listener.https[0].arn
  priority     = 3

  condition {
    http_request_method {
      values = ["POST"]
    }
  }
  condition {
    http_header {
      http_header_name = "Content-Type"
      values           = ["text/plain*", "multipart/form-data*", "application/x-www-form-urlencoded*"]
    }
  }
  action {
    type = "fixed-response"

    fixed_response {
      content_type = "text/plain"
      message_body = "The UI takes application/json only."
      status_code  = "415"
    }
  }
}

resource "aws_lb_listener_rule" "ui" {
  count = local.balanced ? 1 : 0

  listener_arn = aws_lb_listener.https[0].arn
  priority     = 4

  condition {
    host_header {
      values = [var.ui.host]
    }
  }

  dynamic "action" {
    for_each = var.ui.cognito == null ? [] : [var.ui.cognito]
    content {
      type  = "authenticate-cognito"
      order = 1

      authenticate_cognito {
        user_pool_arn              = action.value.user_pool_arn
        user_pool_client_id        = action.value.client_id
        user_pool_domain           = action.value.domain
        on_unauthenticated_request = "authenticate"
        session_timeout            = 43200
      }
    }
  }

  dynamic "action" {
    for_each = var.ui.oidc == null ? [] : [var.ui.oidc]
    content {
      type  = "authenticate-oidc"
      order = 1

      authenticate_oidc {
        issuer                     = action.value.issuer
        authorization_endpoint     = action.value.authorization_endpoint
        token_endpoint             = action.value.token_endpoint
        user_info_endpoint         = action.value.user_info_endpoint
        client_id                  = action.value.client_id
        client_secret              = var.oidc_client_secret
        scope                      = action.value.scope
        on_unauthenticated_request = "authenticate"
        session_timeout            = 43200
      }
    }
  }

  action {
    type             = "forward"
    order            = 2
    target_group_arn = aws_lb_target_group.webserver[0].arn
  }

  # Not only the variable's own check: whatever is changed above, this resource is not made.
  lifecycle {
    precondition {
      condition     = var.ui.reach != "internet" || local.has_login
      error_message = "A load balancer on the internet needs a login: set ui.cognito or ui.oidc."
    }
  }
}

resource "aws_route53_record" "ui" {
  count = local.balanced && var.ui.zone_id != "" ? 1 : 0

  zone_id = var.ui.zone_id
  name    = var.ui.host
  type    = "A"

  alias {
    name                   = aws_lb.ui[0].dns_name
    zone_id                = aws_lb.ui[0].zone_id
    evaluate_target_health = false
  }
}
