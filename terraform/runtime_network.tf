# Where tasks and database are: a VPC that is given, or a small one. Who reaches whom is in the security groups below.
# A scheduled task in a VPC of its own stands in a public subnet, behind a group that lets nothing in: its address costs
# half a cent an hour while it runs, and a NAT gateway would cost ten times all else.

locals {
  own_vpc   = local.runs && var.network.vpc_id == ""
  zones     = local.own_vpc ? slice(data.aws_availability_zones.available[0].names, 0, 2) : []
  ranges    = cidrsubnets(var.network.cidr, 2, 2, 2, 2)
  vpc_id    = local.own_vpc ? aws_vpc.own[0].id : var.network.vpc_id
  private   = local.own_vpc && local.served ? aws_subnet.private[*].id : var.network.private_subnet_ids
  public    = local.own_vpc ? aws_subnet.public[*].id : var.network.public_subnet_ids
  balanced  = local.served && var.ui.reach != "tunnel"
  has_login = var.ui.cognito != null || var.ui.oidc != null
  with_nat  = local.own_vpc && local.served
  groups    = toset(concat(keys(local.services), local.scheduled ? ["morning"] : []))
}

data "aws_availability_zones" "available" {
  #checkov:skip=CKV_AWS_394:The first two are taken, and a subnet that is there keeps its zone (ignore_changes).
  count = local.own_vpc ? 1 : 0
  state = "available"

  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

data "aws_vpc" "given" {
  count = local.served && !local.own_vpc ? 1 : 0
  id    = var.network.vpc_id
}

# --- a VPC of its own -------------------------------------------------------------------------------------------------

resource "aws_vpc" "own" {
  count = local.own_vpc ? 1 : 0

  cidr_block           = var.network.cidr
  enable_dns_hostnames = true
  enable_dns_support   = true
  tags                 = { Name = var.name }
}

# The group that AWS puts things into which name none: it lets nothing in or out.
resource "aws_default_security_group" "own" {
  count  = local.own_vpc ? 1 : 0
  vpc_id = aws_vpc.own[0].id
}

resource "aws_internet_gateway" "own" {
  count  = local.own_vpc ? 1 : 0
  vpc_id = aws_vpc.own[0].id
  tags   = { Name = var.name }
}

resource "aws_subnet" "public" {
  count = local.own_vpc ? 2 : 0

  vpc_id                  = aws_vpc.own[0].id
  availability_zone       = local.zones[count.index]
  cidr_block              = local.ranges[count.index]
  map_public_ip_on_launch = false
  tags                    = { Name = "${var.name}-public-${count.index + 1}" }

  lifecycle {
    ignore_changes = [availability_zone]
  }
}

resource "aws_subnet" "private" {
  count = local.with_nat ? 2 : 0

  vpc_id            = aws_vpc.own[0].id
  availability_zone = local.zones[count.index]
  cidr_block        = local.ranges[count.index + 2]
  tags              = { Name = "${var.name}-private-${count.index + 1}" }

  lifecycle {
    ignore_changes = [availability_zone]
  }
}

resource "aws_eip" "nat" {
  count  = local.with_nat ? 1 : 0
  domain = "vpc"
  tags   = { Name = "${var.name}-nat" }

  depends_on = [aws_internet_gateway.own]
}

# One, in one zone: where that zone fails, runs wait, and the days are made up for afterwards.
resource "aws_nat_gateway" "own" {
  count = local.with_nat ? 1 : 0

  allocation_id = aws_eip.nat[0].id
  subnet_id     = aws_subnet.public[0].id
  tags          = { Name = var.name }
}

resource "aws_route_table" "public" {
  count  = local.own_vpc ? 1 : 0
  vpc_id = aws_vpc.own[0].id
  tags   = { Name = "${var.name}-public" }

  route {
    cidr_block = "0.0.0.0/0"
    gateway_id = aws_internet_gateway.own[0].id
  }
}

resource "aws_route_table" "private" {
  count  = local.with_nat ? 1 : 0
  vpc_id = aws_vpc.own[0].id
  tags   = { Name = "${var.name}-private" }

  route {
    cidr_block     = "0.0.0.0/0"
    nat_gateway_id = aws_nat_gateway.own[0].id
  }
}

resource "aws_route_table_association" "public" {
  count          = local.own_vpc ? 2 : 0
  subnet_id      = aws_subnet.public[count.index].id
  route_table_id = aws_route_table.public[0].id
}

resource "aws_route_table_association" "private" {
  count          = local.with_nat ? 2 : 0
  subnet_id      = aws_subnet.private[count.index].id
  route_table_id = aws_route_table.private[0].id
}

# The archive's bytes do not go through the NAT gateway, which would bill each of them.
resource "aws_vpc_endpoint" "s3" {
  count = local.own_vpc ? 1 : 0

  vpc_id            = aws_vpc.own[0].id
  service_name      = "com.amazonaws.${var.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = local.with_nat ? aws_route_table.private[*].id : aws_route_table.public[*].id
  tags              = { Name = "${var.name}-s3" }
}

# Who was turned away, and where from.
resource "aws_flow_log" "rejected" {
  count = local.own_vpc ? 1 : 0

  vpc_id               = aws_vpc.own[0].id
  traffic_type         = "REJECT"
  log_destination_type = "cloud-watch-logs"
  log_destination      = aws_cloudwatch_log_group.rejected[0].arn
  iam_role_arn         = aws_iam_role.flow_log[0].arn
}

resource "aws_cloudwatch_log_group" "rejected" {
  #checkov:skip=CKV_AWS_158:Encrypted by CloudWatch's own keys; a key of the account's would need a policy for it.
  #checkov:skip=CKV_AWS_338:How long is the account's own choice: log_days.
  count = local.own_vpc ? 1 : 0

  name              = "/${var.name}/rejected-connections"
  retention_in_days = var.log_days
}

data "aws_iam_policy_document" "flow_log_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["vpc-flow-logs.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}

data "aws_iam_policy_document" "flow_log" {
  statement {
    sid       = "Write"
    actions   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
    resources = ["arn:${local.partition}:logs:${var.region}:${local.account}:log-group:/${var.name}/rejected-connections:*"]
  }
}

resource "aws_iam_role" "flow_log" {
  count = local.own_vpc ? 1 : 0

  name               = "${var.name}-flow-log"
  description        = "Writes the VPC's rejected connections to CloudWatch"
  assume_role_policy = data.aws_iam_policy_document.flow_log_trust.json
}

resource "aws_iam_role_policy" "flow_log" {
  count = local.own_vpc ? 1 : 0

  name   = "flow-log"
  role   = aws_iam_role.flow_log[0].id
  policy = data.aws_iam_policy_document.flow_log.json
}

# --- who reaches whom -------------------------------------------------------------------------------------------------

resource "aws_security_group" "task" {
  for_each = local.groups

  name        = "${var.name}-${each.key}"
  description = each.key == "daemon" ? "Daemon, and the runs that it starts" : "Dagster: ${each.key}"
  vpc_id      = local.vpc_id
}

resource "aws_vpc_security_group_egress_rule" "task_to_https" {
  for_each = local.groups

  security_group_id = aws_security_group.task[each.key].id
  description       = "AWS: its endpoints have no fixed addresses"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_vpc_security_group_egress_rule" "task_to_more" {
  for_each = { for pair in setproduct(local.groups, var.network.egress_ports) : "${pair[0]}-${pair[1]}" => pair }

  security_group_id = aws_security_group.task[each.value[0]].id
  description       = "network.egress_ports"
  ip_protocol       = "tcp"
  from_port         = each.value[1]
  to_port           = each.value[1]
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_vpc_security_group_egress_rule" "task_to_database" {
  for_each = local.services

  security_group_id            = aws_security_group.task[each.key].id
  description                  = "Storage of Dagster"
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
  referenced_security_group_id = aws_security_group.database[0].id
}

resource "aws_vpc_security_group_ingress_rule" "database" {
  for_each = local.services

  security_group_id            = aws_security_group.database[0].id
  description                  = "From ${each.key}"
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
  referenced_security_group_id = aws_security_group.task[each.key].id
}

# gRPC knows no login: whoever reaches the code server can have it run things. In one task it is on loopback alone.
resource "aws_vpc_security_group_ingress_rule" "code" {
  for_each = toset(var.runtime == "ecs" ? ["webserver", "daemon"] : [])

  security_group_id            = aws_security_group.task["code"].id
  description                  = "From ${each.key}"
  ip_protocol                  = "tcp"
  from_port                    = 4000
  to_port                      = 4000
  referenced_security_group_id = aws_security_group.task[each.key].id
}

resource "aws_vpc_security_group_egress_rule" "to_code" {
  for_each = toset(var.runtime == "ecs" ? ["webserver", "daemon"] : [])

  security_group_id            = aws_security_group.task[each.key].id
  description                  = "The code server"
  ip_protocol                  = "tcp"
  from_port                    = 4000
  to_port                      = 4000
  referenced_security_group_id = aws_security_group.task["code"].id
}

resource "aws_security_group" "load_balancer" {
  count = local.balanced ? 1 : 0

  name        = "${var.name}-load-balancer"
  description = "Load balancer of the UI"
  vpc_id      = local.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "load_balancer" {
  for_each = toset(!local.balanced ? [] : length(var.ui.allowed_cidrs) > 0 ? var.ui.allowed_cidrs : [
    local.own_vpc ? var.network.cidr : data.aws_vpc.given[0].cidr_block
  ])

  security_group_id = aws_security_group.load_balancer[0].id
  description       = "People who use the UI"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = each.key
}

resource "aws_vpc_security_group_egress_rule" "load_balancer_to_webserver" {
  count = local.balanced ? 1 : 0

  security_group_id            = aws_security_group.load_balancer[0].id
  description                  = "The webserver"
  ip_protocol                  = "tcp"
  from_port                    = 3000
  to_port                      = 3000
  referenced_security_group_id = aws_security_group.task[local.web_service].id
}

resource "aws_vpc_security_group_egress_rule" "load_balancer_to_login" {
  count = local.balanced && local.has_login ? 1 : 0

  security_group_id = aws_security_group.load_balancer[0].id
  description       = "Token endpoint of the login"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_vpc_security_group_ingress_rule" "webserver" {
  count = local.balanced ? 1 : 0

  security_group_id            = aws_security_group.task[local.web_service].id
  description                  = "From the load balancer alone"
  ip_protocol                  = "tcp"
  from_port                    = 3000
  to_port                      = 3000
  referenced_security_group_id = aws_security_group.load_balancer[0].id
}
