# Who is told, and of what: the platform's own alerts, alarms on its metrics, tasks that ended badly, mail that bounced.
# A platform that is not running publishes nothing: the two heartbeats count missing data as a breach.

locals {
  metrics_namespace = lookup(var.settings, "aws.metrics_namespace", "FinopsAssets")
  topic_arn         = "arn:${local.partition}:sns:${var.region}:${local.account}:${var.name}-alerts"
  cluster_arn       = "arn:${local.partition}:ecs:${var.region}:${local.account}:cluster/${var.name}"

  # period: seconds; windows: how many periods in a row have to breach.
  alarms = {
    no-digest = {
      metric = "DigestSent", statistic = "Sum", period = 3600, windows = 26, below = 1, missing = "breaching"
      what   = "No digest was sent for 26 hours. The platform may not be running: see the runbook."
    }
    no-tick = {
      metric = "Tick", statistic = "Sum", period = 600, windows = 6, below = 1, missing = "breaching"
      what   = "No sensor has looked at anything for an hour: the daemon is not running."
    }
    run-failed = {
      metric = "RunFailed", statistic = "Sum", period = 300, windows = 1, from = 1, missing = "notBreaching"
      what   = "A run failed. Its own alert names the cause and the fix."
    }
    run-slow = {
      metric = "RunSeconds", statistic = "Maximum", period = 300, windows = 1, from = var.alerts.run_minutes * 60, missing = "notBreaching"
      what   = "A run took longer than ${var.alerts.run_minutes} minutes."
    }
    days-missing = {
      metric = "DaysMissing", statistic = "Maximum", period = 3600, windows = 1, from = 1, missing = "ignore"
      what   = "Days that the bill has are not in the archive: `finops gaps` names them."
    }
    bill-late = {
      metric = "SourceAgeHours", statistic = "Maximum", period = 3600, windows = 1, from = var.alerts.bill_age_hours, missing = "ignore"
      what   = "The newest data of the bill is older than ${var.alerts.bill_age_hours} hours: is its export delivered?"
    }
  }
  slack = var.alerts.slack_workspace_id != ""

  # Exit codes that nobody has to be told of: of services, of those that a deployment ends; of a scheduled task, 3: it has
  # sent an alert itself.
  good_exit_codes = local.scheduled ? [0, 3] : [0, 143]
}

resource "aws_sns_topic" "alerts" {
  #checkov:skip=CKV_AWS_26:Alarms and SES cannot publish to a topic under AWS's own key; with kms_key_arn it is encrypted.
  name              = "${var.name}-alerts"
  kms_master_key_id = var.kms_key_arn == "" ? null : var.kms_key_arn
}

data "aws_iam_policy_document" "alerts_topic" {
  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["sns:Publish"]
    resources = [local.topic_arn]

    principals {
      type        = "*"
      identifiers = ["*"]
    }
    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }

  dynamic "statement" {
    for_each = {
      AlarmsMayPublish = { service = "cloudwatch", from = ["arn:${local.partition}:cloudwatch:${var.region}:${local.account}:alarm:${var.name}-*"] }
      EventsMayPublish = { service = "events", from = ["arn:${local.partition}:events:${var.region}:${local.account}:rule/${var.name}-*"] }
      MailMayPublish   = { service = "ses", from = ["${local.ses}:identity/${local.mail_identity}", "${local.ses}:configuration-set/${var.name}"] }
    }
    content {
      sid       = statement.key
      actions   = ["sns:Publish"]
      resources = [local.topic_arn]

      principals {
        type        = "Service"
        identifiers = ["${statement.value.service}.amazonaws.com"]
      }
      condition {
        test     = "StringEquals"
        variable = "aws:SourceAccount"
        values   = [local.account]
      }
      condition {
        test     = "ArnLike"
        variable = "aws:SourceArn"
        values   = statement.value.from
      }
    }
  }
}

resource "aws_sns_topic_policy" "alerts" {
  arn    = aws_sns_topic.alerts.arn
  policy = data.aws_iam_policy_document.alerts_topic.json
}

resource "aws_sns_topic_subscription" "email" {
  for_each = toset(var.alerts.emails)

  topic_arn = aws_sns_topic.alerts.arn
  protocol  = "email"
  endpoint  = each.key
}

resource "aws_cloudwatch_metric_alarm" "platform" {
  for_each = { for name, alarm in local.alarms : name => alarm if name != "no-tick" || coalesce(var.alerts.daemon, local.served) }

  alarm_name        = "${var.name}-${each.key}"
  alarm_description = each.value.what

  namespace           = local.metrics_namespace
  metric_name         = each.value.metric
  statistic           = each.value.statistic
  period              = each.value.period
  evaluation_periods  = each.value.windows
  datapoints_to_alarm = each.value.windows
  comparison_operator = can(each.value.below) ? "LessThanThreshold" : "GreaterThanOrEqualToThreshold"
  threshold           = can(each.value.below) ? each.value.below : each.value.from
  treat_missing_data  = each.value.missing

  alarm_actions = [aws_sns_topic.alerts.arn]
  ok_actions    = [aws_sns_topic.alerts.arn]
}

# A container that ended with an error, or that could not start, as ECS saw it: also where nothing of the platform ran.
resource "aws_cloudwatch_event_rule" "task_failed" {
  name        = "${var.name}-task-failed"
  description = "A task of the platform ended with an error, or could not start"

  event_pattern = jsonencode({
    source      = ["aws.ecs"]
    detail-type = ["ECS Task State Change"]
    detail = {
      clusterArn = [local.cluster_arn]
      lastStatus = ["STOPPED"]
      "$or" = [
        { containers = { exitCode = [{ "anything-but" = local.good_exit_codes }] } },
        { stopCode = ["TaskFailedToStart", "SpotInterruption", "TerminationNotice"] },
      ]
    }
  })
}

resource "aws_cloudwatch_event_target" "task_failed" {
  rule = aws_cloudwatch_event_rule.task_failed.name
  arn  = aws_sns_topic.alerts.arn

  input_transformer {
    input_paths = {
      group  = "$.detail.group"
      reason = "$.detail.stoppedReason"
      task   = "$.detail.taskArn"
      time   = "$.time"
    }
    input_template = "\"A task of ${var.name} (<group>) ended at <time>: <reason>. It was <task>.\""
  }

  depends_on = [aws_sns_topic_policy.alerts]
}

# --- Slack ------------------------------------------------------------------------------------------------------------

data "aws_iam_policy_document" "slack_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["chatbot.amazonaws.com"]
    }
  }
}

# What draws an alarm's graph in the channel. IAM knows no resource for GetMetricData.
data "aws_iam_policy_document" "slack" {
  statement {
    sid       = "Alarms"
    actions   = ["cloudwatch:DescribeAlarms"]
    resources = ["arn:${local.partition}:cloudwatch:${var.region}:${local.account}:alarm:${var.name}-*"]
  }
  statement {
    sid       = "Graphs"
    actions   = ["cloudwatch:GetMetricData"]
    resources = ["*"]
  }
}

resource "aws_iam_policy" "slack" {
  count = local.slack ? 1 : 0

  name        = "${var.name}-slack"
  description = "What people may ask for in the alerts' channel"
  policy      = data.aws_iam_policy_document.slack.json
}

resource "aws_iam_role" "slack" {
  count = local.slack ? 1 : 0

  name               = "${var.name}-slack"
  description        = "Shows the platform's alarms in Slack"
  assume_role_policy = data.aws_iam_policy_document.slack_trust.json
}

resource "aws_iam_role_policy_attachment" "slack" {
  count = local.slack ? 1 : 0

  role       = aws_iam_role.slack[0].name
  policy_arn = aws_iam_policy.slack[0].arn
}

resource "aws_chatbot_slack_channel_configuration" "alerts" {
  count = local.slack ? 1 : 0

  configuration_name    = "${var.name}-alerts"
  slack_team_id         = var.alerts.slack_workspace_id
  slack_channel_id      = var.alerts.slack_channel_id
  iam_role_arn          = aws_iam_role.slack[0].arn
  guardrail_policy_arns = [aws_iam_policy.slack[0].arn] # nobody in the channel can do more, whoever they are
  sns_topic_arns        = [aws_sns_topic.alerts.arn]
  logging_level         = "ERROR"
}
