# The runtime: what is made for each choice, what its roles may do, and what is refused.

mock_provider "aws" {
  override_during = plan

  mock_data "aws_caller_identity" {
    defaults = { account_id = "111122223333" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_availability_zones" {
    defaults = { names = ["eu-west-1a", "eu-west-1b", "eu-west-1c"] }
  }
  mock_data "aws_vpc" {
    defaults = { cidr_block = "172.16.0.0/16" }
  }
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::111122223333:role/finops-mocked" }
  }
  mock_resource "aws_ecs_task_definition" {
    defaults = { arn = "arn:aws:ecs:eu-west-1:111122223333:task-definition/finops-mocked:1" }
  }
  mock_resource "aws_ecs_cluster" {
    defaults = { arn = "arn:aws:ecs:eu-west-1:111122223333:cluster/finops" }
  }
  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:eu-west-1:111122223333:finops-alerts" }
  }
  mock_resource "aws_s3_bucket" {
    defaults = { id = "finops-daily-summaries-111122223333" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-west-1:111122223333:log-group:mocked" }
  }
  mock_resource "aws_lb" {
    defaults = { arn = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:loadbalancer/app/finops-ui/0123456789abcdef" }
  }
  mock_resource "aws_lb_listener" {
    defaults = { arn = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:listener/app/finops-ui/0123456789abcdef/0123456789abcdef" }
  }
  mock_resource "aws_lb_target_group" {
    defaults = { arn = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/finops-webserver/0123456789abcdef" }
  }
  mock_resource "aws_service_discovery_service" {
    defaults = { arn = "arn:aws:servicediscovery:eu-west-1:111122223333:service/srv-0123456789abcdef" }
  }
  mock_resource "aws_sesv2_email_identity" {
    defaults = { dkim_signing_attributes = [{ tokens = ["a", "b", "c"] }] }
  }
  mock_resource "aws_db_instance" {
    defaults = {
      address            = "finops.example.eu-west-1.rds.amazonaws.com"
      master_user_secret = [{ secret_arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:rds-db-mocked", kms_key_id = "", secret_status = "active" }]
    }
  }
}

mock_provider "aws" {
  alias           = "management"
  override_during = plan

  mock_data "aws_caller_identity" {
    defaults = { account_id = "444455556666" }
  }
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::444455556666:role/finops-reads-organization" }
  }
}

mock_provider "aws" {
  alias = "billing"
}

variables {
  region  = "eu-west-1"
  mail    = { sender = "finops@example.com", recipients = ["cfo@example.com"], identity = "none" }
  runtime = "ecs"
  image   = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/finops@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
  ui = {
    host            = "finops.example.com"
    certificate_arn = "arn:aws:acm:eu-west-1:111122223333:certificate/12345678-1234-1234-1234-123456789012"
  }
}

run "nothing_runs_unless_it_is_asked_for" {
  command = plan
  variables {
    runtime = "none"
    image   = ""
    ui      = {}
  }
  assert {
    condition     = length(aws_ecs_service.dagster) == 0 && length(aws_db_instance.dagster) == 0 && length(aws_vpc.own) == 0 && length(aws_lb.ui) == 0
    error_message = "runtime = none made something that costs money."
  }
  assert {
    condition     = output.ui_url == "" && output.log_group == ""
    error_message = "Outputs of what is not there must be empty."
  }
}

run "a_task_each_morning_and_no_server" {
  command = plan
  variables {
    runtime = "scheduled"
    ui      = {}
  }

  # --- what costs money all day
  assert {
    condition = (
      length(aws_nat_gateway.own) + length(aws_eip.nat) + length(aws_lb.ui) + length(aws_db_instance.dagster) +
      length(aws_ecs_service.dagster) + length(aws_ecs_task_definition.service) + length(aws_ecs_task_definition.run) +
      length(aws_service_discovery_service.code) + length(aws_secretsmanager_secret_rotation.database) == 0
    )
    error_message = "No NAT gateway, no load balancer, no database, no service."
  }

  # --- when
  assert {
    condition     = { for name, schedule in aws_scheduler_schedule.task : name => schedule.schedule_expression } == { morning = "cron(0 7 * * ? *)", readiness = "cron(15/30 0-11 * * ? *)" }
    error_message = "At 07:00, and every half hour until noon at a time of its own."
  }
  assert {
    condition     = alltrue([for schedule in aws_scheduler_schedule.task : schedule.schedule_expression_timezone == "UTC" && schedule.flexible_time_window[0].mode == "OFF"])
    error_message = "In UTC, to the minute."
  }

  # --- what
  assert {
    condition = alltrue([
      for schedule in aws_scheduler_schedule.task :
      one(schedule.target[0].ecs_parameters).launch_type == "FARGATE" && one(schedule.target[0].ecs_parameters).task_count == 1 &&
      schedule.target[0].arn == aws_ecs_cluster.dagster[0].arn && schedule.target[0].retry_policy[0].maximum_retry_attempts > 0
    ])
    error_message = "One Fargate task in the platform's own cluster, tried again where there is no room."
  }
  assert {
    condition = alltrue([
      for container in jsondecode(aws_ecs_task_definition.morning[0].container_definitions) :
      container.command == ["timeout", "14400", "finops", "morning"] && container.image == var.image && container.readonlyRootFilesystem &&
      container.logConfiguration.options.awslogs-group == "/finops/dagster" && container.secrets == []
    ])
    error_message = "The command, of the one image, read-only, with logs and an end."
  }
  assert {
    condition = alltrue([
      for container in jsondecode(aws_ecs_task_definition.morning[0].container_definitions) :
      contains(container.environment, { name = "DAGSTER_HOME", value = "/work/.finops/dagster" }) &&
      contains(container.environment, { name = "FINOPS_MAIL__SENDER", value = "finops@example.com" }) &&
      alltrue([for each in container.environment : !startswith(each.name, "DAGSTER_POSTGRES")])
    ])
    error_message = "It has the settings, and Dagster's records on its own disk."
  }
  assert {
    condition     = [aws_ecs_task_definition.morning[0].cpu, aws_ecs_task_definition.morning[0].memory] == ["1024", "2048"] && alltrue([for container in jsondecode(aws_ecs_task_definition.morning[0].container_definitions) : container.memory == 2048])
    error_message = "As large as was measured for 500 accounts, and the container knows it."
  }

  # --- where
  assert {
    condition = alltrue([
      for schedule in aws_scheduler_schedule.task : schedule.target[0].ecs_parameters[0].network_configuration[0].assign_public_ip
    ]) && length(aws_subnet.private) == 0 && length(aws_subnet.public) == 2
    error_message = "In a public subnet: its way out is an address of its own."
  }
  assert {
    condition = keys(aws_security_group.task) == ["morning"] && keys(aws_vpc_security_group_egress_rule.task_to_https) == ["morning"] && length(aws_vpc_security_group_egress_rule.task_to_more) == 0 && (
      length(aws_vpc_security_group_ingress_rule.database) + length(aws_vpc_security_group_ingress_rule.code) +
      length(aws_vpc_security_group_ingress_rule.webserver) + length(aws_vpc_security_group_ingress_rule.load_balancer) == 0
    )
    error_message = "Nothing is let in, and HTTPS alone out."
  }

  # --- who is told
  assert {
    condition     = !contains(keys(aws_cloudwatch_metric_alarm.platform), "no-tick") && contains(keys(aws_cloudwatch_metric_alarm.platform), "no-digest")
    error_message = "Nobody waits for a daemon's ticks; a morning without a digest is an alarm."
  }
  assert {
    condition     = jsondecode(aws_cloudwatch_event_rule.task_failed.event_pattern).detail["$or"][0].containers.exitCode == [{ "anything-but" = [0, 3] }]
    error_message = "What the task has sent an alert of itself (exit code 3) is told once; all else of it is told."
  }
  assert {
    condition     = output.ui_url == "" && output.ui_tunnel == "" && output.database_secret_arn == "" && output.log_group == "/finops/dagster"
    error_message = "There is no UI, and there are logs."
  }
}

run "the_morning_is_the_deadline_of_the_settings" {
  command = plan
  variables {
    runtime   = "scheduled"
    readiness = false
    settings  = { "schedule.cron" = "30 5 * * *" }
    network   = { vpc_id = "vpc-1", private_subnet_ids = ["subnet-1", "subnet-2"] }
    accounts  = 5000
  }
  assert {
    condition     = { for name, schedule in aws_scheduler_schedule.task : name => schedule.schedule_expression } == { morning = "cron(30 5 * * ? *)" }
    error_message = "One task a day, at that time."
  }
  assert {
    condition = alltrue([
      for schedule in aws_scheduler_schedule.task :
      toset(schedule.target[0].ecs_parameters[0].network_configuration[0].subnets) == toset(["subnet-1", "subnet-2"]) &&
      !schedule.target[0].ecs_parameters[0].network_configuration[0].assign_public_ip
    ]) && length(aws_vpc.own) == 0
    error_message = "In the subnets that are given, without an address of its own."
  }
  assert {
    condition     = aws_ecs_task_definition.morning[0].memory == "3072"
    error_message = "As large as was measured for 5,000 accounts."
  }
}

run "a_service_each_and_a_task_a_run" {
  command = plan

  # --- services
  assert {
    condition     = toset(keys(aws_ecs_service.dagster)) == toset(["code", "webserver", "daemon"])
    error_message = "Code server, webserver and daemon are services."
  }
  assert {
    condition     = aws_ecs_service.dagster["daemon"].deployment_maximum_percent == 100 && aws_ecs_service.dagster["daemon"].deployment_minimum_healthy_percent == 0
    error_message = "Two daemons must never run at once."
  }
  assert {
    condition     = aws_ecs_service.dagster["webserver"].deployment_minimum_healthy_percent == 100 && aws_ecs_service.dagster["code"].deployment_minimum_healthy_percent == 100
    error_message = "The old webserver and code server stay until the new ones are healthy."
  }
  assert {
    condition     = alltrue([for service in aws_ecs_service.dagster : service.deployment_circuit_breaker[0].enable && service.deployment_circuit_breaker[0].rollback])
    error_message = "A deployment that fails must go back."
  }
  assert {
    condition     = alltrue([for service in aws_ecs_service.dagster : !service.network_configuration[0].assign_public_ip && !service.enable_execute_command])
    error_message = "Tasks have no public address, and no shell where there is a load balancer."
  }
  assert {
    condition = alltrue(flatten([
      for definition in aws_ecs_task_definition.service : [
        for container in jsondecode(definition.container_definitions) :
        container.readonlyRootFilesystem && container.image == var.image && can(container.healthCheck.command) &&
        container.logConfiguration.options.awslogs-group == "/finops/dagster"
      ]
    ]))
    error_message = "Each container is read-only, of the one image, with a health check and logs."
  }
  assert {
    condition     = length(jsondecode(aws_ecs_task_definition.run[0].container_definitions)) == 1 && jsondecode(aws_ecs_task_definition.run[0].container_definitions)[0].name == "run"
    error_message = "deploy/dagster.yaml names the run's container `run`."
  }
  assert {
    condition     = aws_ecs_task_definition.run[0].memory == "2048" && aws_ecs_task_definition.service["webserver"].memory == "1024"
    error_message = "A run has its own size: as large as was measured for 500 accounts."
  }
  assert {
    condition     = aws_ecs_cluster.dagster[0].name == "finops" && aws_ecs_task_definition.run[0].family == "finops-run"
    error_message = "Policies and alarms name the cluster and the run's definition so."
  }

  # --- who gets the settings
  assert {
    condition = { for name, definition in merge(aws_ecs_task_definition.service, { run = aws_ecs_task_definition.run[0] }) : name =>
      anytrue([for each in jsondecode(definition.container_definitions)[0].environment : each.name == "FINOPS_MAIL__SENDER"])
    } == { code = true, run = true, webserver = false, daemon = false }
    error_message = "Recipients and tables are for the code and for runs."
  }
  assert {
    condition = anytrue([
      for each in jsondecode(aws_ecs_task_definition.run[0].container_definitions)[0].environment :
      each.name == "FINOPS_ALERTS__DAGSTER_URL" && each.value == "https://finops.example.com"
    ])
    error_message = "Alerts link to the UI."
  }

  # --- the database
  assert {
    condition     = aws_db_instance.dagster[0].storage_encrypted && !aws_db_instance.dagster[0].publicly_accessible && aws_db_instance.dagster[0].deletion_protection
    error_message = "The database must be encrypted, private and protected."
  }
  assert {
    condition     = aws_db_instance.dagster[0].backup_retention_period >= 7 && !aws_db_instance.dagster[0].skip_final_snapshot
    error_message = "The database must be backed up."
  }
  assert {
    condition     = anytrue([for each in aws_db_parameter_group.dagster[0].parameter : each.name == "rds.force_ssl" && each.value == "1"])
    error_message = "Connections without TLS must be refused."
  }
  assert {
    condition     = toset(keys(aws_vpc_security_group_ingress_rule.database)) == toset(["code", "webserver", "daemon"]) && alltrue([for rule in aws_vpc_security_group_ingress_rule.database : rule.cidr_ipv4 == null && rule.from_port == 5432])
    error_message = "Only the tasks reach the database."
  }

  # --- the code server
  assert {
    condition     = toset(keys(aws_vpc_security_group_ingress_rule.code)) == toset(["webserver", "daemon"]) && alltrue([for rule in aws_vpc_security_group_ingress_rule.code : rule.cidr_ipv4 == null])
    error_message = "The code server's gRPC has no login: only webserver and daemon may reach it."
  }

  # --- the load balancer
  assert {
    condition     = aws_lb.ui[0].internal && aws_lb.ui[0].drop_invalid_header_fields && aws_lb.ui[0].enable_deletion_protection
    error_message = "Internal unless it is said otherwise."
  }
  assert {
    condition     = aws_lb_listener.https[0].protocol == "HTTPS" && aws_lb_listener.https[0].port == 443 && aws_lb_listener.https[0].ssl_policy == "ELBSecurityPolicy-TLS13-1-2-2021-06"
    error_message = "TLS 1.2 or newer, and nothing else."
  }
  assert {
    condition     = aws_lb_listener.https[0].default_action[0].type == "fixed-response" && aws_lb_listener.https[0].default_action[0].fixed_response[0].status_code == "404"
    error_message = "Another name than the UI's gets nothing."
  }
  assert {
    condition     = toset(keys(aws_vpc_security_group_ingress_rule.load_balancer)) == toset(["10.40.0.0/24"])
    error_message = "From inside the VPC unless it is said otherwise."
  }
  assert {
    condition     = output.ui_url == "https://finops.example.com" && output.ui_tunnel == ""
    error_message = "The UI's address is told."
  }

  # --- words
  assert {
    condition = alltrue([
      for each in concat(
        values(aws_security_group.task), aws_security_group.database, aws_security_group.load_balancer,
        values(aws_vpc_security_group_egress_rule.task_to_https), values(aws_vpc_security_group_egress_rule.task_to_database),
        values(aws_vpc_security_group_ingress_rule.database), values(aws_vpc_security_group_ingress_rule.code),
        values(aws_vpc_security_group_egress_rule.to_code), values(aws_vpc_security_group_ingress_rule.load_balancer),
        aws_vpc_security_group_egress_rule.load_balancer_to_webserver, aws_vpc_security_group_ingress_rule.webserver,
      ) : can(regex("^[a-zA-Z0-9. _:/()#,@+=&;{}!$*\\[\\]-]{1,255}$", each.description))
    ])
    error_message = "EC2 takes no apostrophe, among others, in a description; the provider does not look."
  }

  # --- foreign pages
  assert {
    condition     = [for each in aws_lb_listener_rule.ui[0].condition : one(each.host_header).values] == [toset(["finops.example.com"])]
    error_message = "The UI answers by its own name alone."
  }
  assert {
    condition     = flatten([for each in aws_lb_listener_rule.no_questions_in_addresses[0].condition : [for path in each.path_pattern : tolist(path.values)]]) == ["/graphql*"]
    error_message = "The rule against questions in addresses stands before Dagster's API."
  }
  assert {
    condition = alltrue([
      for rule in [aws_lb_listener_rule.no_questions_in_addresses[0], aws_lb_listener_rule.no_foreign_requests[0], aws_lb_listener_rule.no_forms[0]] :
      rule.priority < aws_lb_listener_rule.ui[0].priority && one(rule.action).type == "fixed-response" && startswith(one(rule.action).fixed_response[0].status_code, "4")
    ])
    error_message = "A query in an address, a request of a foreign page and a form are refused before anything is forwarded."
  }
  assert {
    condition = alltrue([
      for rule in [aws_lb_listener_rule.no_foreign_requests[0], aws_lb_listener_rule.no_forms[0]] : length(flatten([
        for each in rule.condition : concat(
          flatten([for header in each.http_header : header.values]),
          flatten([for method in each.http_request_method : method.values]),
        )
      ])) <= 5
    ])
    error_message = "A rule of a load balancer has five values at most; the provider does not look."
  }
  assert {
    condition = alltrue([
      for name, definition in aws_ecs_task_definition.service : alltrue([
        for container in jsondecode(definition.container_definitions) :
        contains(container.environment, { name = "DAGSTER_UI_URL", value = "https://finops.example.com" }) == (name == "webserver")
      ])
    ])
    error_message = "The webserver, and nothing else, knows at which address it is opened: it answers no page of another one."
  }
}

run "secrets_are_references" {
  command = plan
  variables {
    secret_settings = { "smtp.password" = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:smtp-abc" }
  }
  assert {
    condition     = aws_db_instance.dagster[0].manage_master_user_password && aws_db_instance.dagster[0].password == null
    error_message = "RDS makes the password: Terraform must not know one."
  }
  assert {
    condition = alltrue(flatten([
      for definition in concat(values(aws_ecs_task_definition.service), aws_ecs_task_definition.run) : [
        for container in jsondecode(definition.container_definitions) : concat(
          [for each in container.environment : !can(regex("PASSWORD|SECRET|TOKEN", each.name))],
          [anytrue([for each in container.secrets : each.name == "DAGSTER_POSTGRES_PASSWORD" && endswith(each.valueFrom, ":password::")])],
        )
      ]
    ]))
    error_message = "Passwords come from Secrets Manager, and are in no environment of a definition."
  }
  assert {
    condition = { for name, definition in merge(aws_ecs_task_definition.service, { run = aws_ecs_task_definition.run[0] }) : name =>
      anytrue([for each in jsondecode(definition.container_definitions)[0].secrets : each.name == "FINOPS_SMTP__PASSWORD"])
    } == { code = true, run = true, webserver = false, daemon = false }
    error_message = "A secret setting is for the code, and for runs; the webserver must not have it."
  }
}

run "the_internet_gets_a_login_first" {
  command = plan
  variables {
    network = { vpc_id = "vpc-1", private_subnet_ids = ["subnet-1", "subnet-2"], public_subnet_ids = ["subnet-3", "subnet-4"] }
    ui = {
      reach           = "internet"
      host            = "finops.example.com"
      certificate_arn = "arn:aws:acm:eu-west-1:111122223333:certificate/12345678-1234-1234-1234-123456789012"
      allowed_cidrs   = ["0.0.0.0/0"]
      cognito         = { user_pool_arn = "arn:aws:cognito-idp:eu-west-1:111122223333:userpool/eu-west-1_abc", client_id = "client", domain = "finops" }
    }
  }
  assert {
    condition     = !aws_lb.ui[0].internal && toset(aws_lb.ui[0].subnets) == toset(["subnet-3", "subnet-4"])
    error_message = "In the public subnets."
  }
  assert {
    condition     = [for action in sort([for each in aws_lb_listener_rule.ui[0].action : "${each.order} ${each.type}"]) : action] == ["1 authenticate-cognito", "2 forward"]
    error_message = "The login comes before the UI."
  }
  assert {
    condition     = anytrue([for each in aws_lb_listener_rule.ui[0].action : try(each.authenticate_cognito[0].on_unauthenticated_request, "") == "authenticate"])
    error_message = "Who has not logged in is sent to the login, not let through."
  }
}

run "oidc_is_a_login_too" {
  command = plan
  variables {
    ui = {
      reach           = "internet"
      host            = "finops.example.com"
      certificate_arn = "arn:aws:acm:eu-west-1:111122223333:certificate/12345678-1234-1234-1234-123456789012"
      allowed_cidrs   = ["203.0.113.0/24"]
      oidc = {
        issuer                 = "https://login.example.com"
        authorization_endpoint = "https://login.example.com/authorize"
        token_endpoint         = "https://login.example.com/token"
        user_info_endpoint     = "https://login.example.com/userinfo"
        client_id              = "finops"
      }
    }
    oidc_client_secret = "of-nobody"
  }
  assert {
    condition     = anytrue([for each in aws_lb_listener_rule.ui[0].action : each.type == "authenticate-oidc" && each.order == 1])
    error_message = "The login comes before the UI."
  }
}

run "one_task_holds_everything" {
  command = plan
  variables {
    runtime = "single"
    ui      = { reach = "tunnel" }
  }
  assert {
    condition     = keys(aws_ecs_service.dagster) == ["single"] && [for container in jsondecode(aws_ecs_task_definition.service["single"].container_definitions) : container.name] == ["code", "webserver", "daemon"]
    error_message = "One service, whose task has three containers."
  }
  assert {
    condition     = length(aws_ecs_task_definition.run) == 0 && length(aws_service_discovery_service.code) == 0 && length(aws_lb.ui) == 0 && length(aws_iam_role.dagster) == 0
    error_message = "No tasks for runs, no names, no load balancer."
  }
  assert {
    condition     = aws_ecs_service.dagster["single"].deployment_maximum_percent == 100 && aws_ecs_service.dagster["single"].enable_execute_command
    error_message = "It holds a daemon: never two; and it is reached by a tunnel."
  }
  assert {
    condition = alltrue([
      for container in jsondecode(aws_ecs_task_definition.service["single"].container_definitions) :
      contains(container.environment, { name = "DAGSTER_HOME", value = "/opt/dagster/single" }) &&
      contains(container.environment, { name = "DAGSTER_CODE_HOST", value = "127.0.0.1" })
    ])
    error_message = "It uses the instance that starts runs beside the code server."
  }
  assert {
    condition = [
      for container in jsondecode(aws_ecs_task_definition.service["single"].container_definitions) : container.name
      if contains(container.mountPoints, { sourceVolume = "run-locks", containerPath = "/run-locks", readOnly = false })
    ] == ["code", "daemon"] && contains(aws_ecs_task_definition.service["single"].volume[*].name, "run-locks")
    error_message = "Code server and daemon share the folder in which runs hold their locks (deploy/single.yaml)."
  }
  assert {
    condition     = strcontains(output.ui_tunnel, "AWS-StartPortForwardingSession") && strcontains(output.ui_tunnel, "--service-name single")
    error_message = "The tunnel's commands are told."
  }
}

run "a_vpc_that_is_there" {
  command = plan
  variables {
    network = { vpc_id = "vpc-1", private_subnet_ids = ["subnet-1", "subnet-2"], egress_ports = [587] }
  }
  assert {
    condition     = length(aws_vpc.own) == 0 && toset(aws_ecs_service.dagster["code"].network_configuration[0].subnets) == toset(["subnet-1", "subnet-2"])
    error_message = "Nothing of a network is made beside the one that is given."
  }
  assert {
    condition     = toset(keys(aws_vpc_security_group_ingress_rule.load_balancer)) == toset(["172.16.0.0/16"])
    error_message = "From inside that VPC."
  }
  assert {
    condition     = aws_vpc_security_group_egress_rule.task_to_more["code-587"].from_port == 587
    error_message = "Further ports are let out."
  }
}

# --- refused ----------------------------------------------------------------------------------------------------------

run "no_internet_without_a_login" {
  command = plan
  variables {
    ui = {
      reach           = "internet"
      host            = "finops.example.com"
      certificate_arn = "arn:aws:acm:eu-west-1:111122223333:certificate/12345678-1234-1234-1234-123456789012"
      allowed_cidrs   = ["0.0.0.0/0"]
    }
  }
  expect_failures = [var.ui]
}

run "no_internal_load_balancer_that_is_open_to_all" {
  command = plan
  variables {
    ui = {
      host            = "finops.example.com"
      certificate_arn = "arn:aws:acm:eu-west-1:111122223333:certificate/12345678-1234-1234-1234-123456789012"
      allowed_cidrs   = ["0.0.0.0/0"]
    }
  }
  expect_failures = [var.ui]
}

run "no_load_balancer_without_a_certificate" {
  command = plan
  variables {
    ui = { host = "finops.example.com" }
  }
  expect_failures = [var.ui]
}

run "no_runtime_without_an_image" {
  command = plan
  variables {
    image = ""
  }
  expect_failures = [var.image]
}

run "no_image_that_changes_under_its_name" {
  command = plan
  variables {
    image = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/finops:latest"
  }
  expect_failures = [var.image]
}

run "no_secret_itself" {
  command = plan
  variables {
    secret_settings = { "smtp.password" = "correct horse" }
  }
  expect_failures = [var.secret_settings]
}

run "no_vpc_with_one_zone" {
  command = plan
  variables {
    network = { vpc_id = "vpc-1", private_subnet_ids = ["subnet-1"] }
  }
  expect_failures = [var.network]
}

run "no_size_that_fargate_does_not_have" {
  command = plan
  variables {
    sizes = { run = [1024, 1024] }
  }
  expect_failures = [var.sizes]
}

run "no_schedule_that_is_not_daily" {
  command = plan
  variables {
    runtime  = "scheduled"
    settings = { "schedule.cron" = "0 7 * * 1-5" }
  }
  expect_failures = [var.runtime]
}

run "no_size_that_was_not_measured" {
  command = plan
  variables {
    accounts = 6000
  }
  expect_failures = [var.accounts]
}
