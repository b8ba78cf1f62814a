# Dagster's storage: PostgreSQL, whose password RDS makes, keeps in Secrets Manager and changes. Terraform never sees it.
# A file on a shared disk (SQLite on EFS) would be cheaper and wrong: Dagster's SQLite uses a write-ahead log, which
# takes one machine's memory, and locks that network file systems only promise.

resource "aws_db_subnet_group" "dagster" {
  count = local.served ? 1 : 0

  name        = var.name
  description = "Dagster's database"
  subnet_ids  = local.private
}

resource "aws_security_group" "database" {
  count = local.served ? 1 : 0

  name        = "${var.name}-database"
  description = "Database of Dagster: its tasks get in, nothing gets out"
  vpc_id      = local.vpc_id
}

resource "aws_db_parameter_group" "dagster" {
  count = local.served ? 1 : 0

  name_prefix = "${var.name}-"
  family      = "postgres${var.database.version}"
  description = "TLS only"

  parameter {
    name  = "rds.force_ssl"
    value = "1"
  }
  parameter {
    name  = "log_min_duration_statement"
    value = "5000"
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_db_instance" "dagster" {
  #checkov:skip=CKV_AWS_118:CloudWatch's own metrics are enough for a database of this size.
  #checkov:skip=CKV_AWS_133:database.backup_days, 14 by default and never 0; checkov does not see into the object.
  #checkov:skip=CKV_AWS_157:database.multi_az: while it is away runs wait, and their days are made up for.
  #checkov:skip=CKV_AWS_161:The one user's password is RDS's own, changed each rotate_days.
  #checkov:skip=CKV_AWS_293:deletion_protection is on unless the account is torn down.
  #checkov:skip=CKV_AWS_353:Nobody tunes these queries; they are Dagster's.
  count = local.served ? 1 : 0

  identifier     = var.name
  engine         = "postgres"
  engine_version = var.database.version
  instance_class = var.database.instance_class
  db_name        = "dagster"
  username       = "dagster"

  manage_master_user_password   = true
  master_user_secret_kms_key_id = var.kms_key_arn == "" ? null : var.kms_key_arn

  storage_type          = "gp3"
  allocated_storage     = var.database.gigabytes
  max_allocated_storage = var.database.gigabytes_most
  storage_encrypted     = true
  kms_key_id            = var.kms_key_arn == "" ? null : var.kms_key_arn

  db_subnet_group_name   = aws_db_subnet_group.dagster[0].name
  vpc_security_group_ids = [aws_security_group.database[0].id]
  parameter_group_name   = aws_db_parameter_group.dagster[0].name
  publicly_accessible    = false
  multi_az               = var.database.multi_az
  ca_cert_identifier     = "rds-ca-rsa2048-g1"

  backup_retention_period   = var.database.backup_days
  copy_tags_to_snapshot     = true
  deletion_protection       = var.deletion_protection
  skip_final_snapshot       = !var.deletion_protection
  final_snapshot_identifier = "${var.name}-last"

  auto_minor_version_upgrade      = true
  allow_major_version_upgrade     = false
  maintenance_window              = "sun:11:00-sun:12:00" # UTC: after the morning's digest, and its retries
  backup_window                   = "13:00-14:00"
  enabled_cloudwatch_logs_exports = ["postgresql", "upgrade"]

  depends_on = [aws_cloudwatch_log_group.database]
}

# RDS's own default is each 7 days. Each change replaces tasks: rarely is often enough for a database that only they reach.
resource "aws_secretsmanager_secret_rotation" "database" {
  #checkov:skip=CKV_AWS_304:database.rotate_days, 30 by default; checkov does not see into the object.
  count = local.served ? 1 : 0

  secret_id          = aws_db_instance.dagster[0].master_user_secret[0].secret_arn
  rotate_immediately = false

  rotation_rules {
    automatically_after_days = var.database.rotate_days
  }
}

resource "aws_cloudwatch_log_group" "database" {
  #checkov:skip=CKV_AWS_158:Encrypted by CloudWatch's own keys; a key of the account's would need a policy for it.
  #checkov:skip=CKV_AWS_338:How long is the account's own choice: log_days.
  for_each = toset(local.served ? ["postgresql", "upgrade"] : [])

  name              = "/aws/rds/instance/${var.name}/${each.key}"
  retention_in_days = var.log_days
}

resource "aws_cloudwatch_metric_alarm" "database_full" {
  count = local.served ? 1 : 0

  alarm_name        = "${var.name}-database-full"
  alarm_description = "Dagster's database has less than 2 GB left and does not grow further: raise database.gigabytes_most."

  namespace           = "AWS/RDS"
  metric_name         = "FreeStorageSpace"
  dimensions          = { DBInstanceIdentifier = aws_db_instance.dagster[0].identifier }
  statistic           = "Minimum"
  period              = 300
  evaluation_periods  = 3
  comparison_operator = "LessThanThreshold"
  threshold           = 2000000000
  treat_missing_data  = "missing"

  alarm_actions = [aws_sns_topic.alerts.arn]
  ok_actions    = [aws_sns_topic.alerts.arn]
}
