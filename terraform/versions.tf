terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7.0"
    }
  }
}

provider "aws" {
  region = var.region

  default_tags {
    tags = local.tags
  }
}

# The organization's management (payer) account: the bill's export, its bucket, and the role that reads the OUs.
provider "aws" {
  alias  = "management"
  region = var.region

  dynamic "assume_role" {
    for_each = var.management_role_arn == "" ? [] : [var.management_role_arn]
    content {
      role_arn     = assume_role.value
      session_name = "terraform-${var.name}"
    }
  }

  default_tags {
    tags = local.tags
  }
}

# Data Exports has one endpoint, in us-east-1, wherever its bucket is.
provider "aws" {
  alias  = "billing"
  region = "us-east-1"

  dynamic "assume_role" {
    for_each = var.management_role_arn == "" ? [] : [var.management_role_arn]
    content {
      role_arn     = assume_role.value
      session_name = "terraform-${var.name}"
    }
  }

  default_tags {
    tags = local.tags
  }
}

data "aws_caller_identity" "current" {}

data "aws_caller_identity" "management" {
  provider = aws.management
}

data "aws_partition" "current" {}

locals {
  tags      = merge({ application = var.name }, var.tags)
  account   = data.aws_caller_identity.current.account_id
  payer     = data.aws_caller_identity.management.account_id
  partition = data.aws_partition.current.partition

  # What the code expects of AWS, written by scripts/terraform_contract.py; a test holds both together.
  contract = jsondecode(file("${path.module}/contract.json"))
}
