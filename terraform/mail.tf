# The digest's way out: an identity that SES verifies, and a configuration set whose events reach the alerts' topic.

locals {
  mail_domain   = split("@", var.mail.sender)[1]
  mail_identity = var.mail.identity == "address" ? var.mail.sender : local.mail_domain
}

resource "aws_sesv2_email_identity" "sender" {
  count = var.mail.identity == "none" ? 0 : 1

  email_identity = local.mail_identity

  dynamic "dkim_signing_attributes" {
    for_each = var.mail.identity == "domain" ? [1] : []
    content {
      next_signing_key_length = "RSA_2048_BIT"
    }
  }
}

resource "aws_route53_record" "dkim" {
  count = var.mail.dns_zone_id == "" ? 0 : 3

  zone_id = var.mail.dns_zone_id
  name    = "${aws_sesv2_email_identity.sender[0].dkim_signing_attributes[0].tokens[count.index]}._domainkey.${local.mail_domain}"
  type    = "CNAME"
  ttl     = 1800
  records = ["${aws_sesv2_email_identity.sender[0].dkim_signing_attributes[0].tokens[count.index]}.dkim.amazonses.com"]
}

# What is sent as this identity by anything else than the platform is told as well.
resource "aws_ses_identity_notification_topic" "sender" {
  for_each = toset(var.mail.identity == "none" ? [] : ["Bounce", "Complaint"])

  identity                 = aws_sesv2_email_identity.sender[0].email_identity
  notification_type        = each.key
  topic_arn                = aws_sns_topic.alerts.arn
  include_original_headers = false

  depends_on = [aws_sns_topic_policy.alerts]
}

resource "aws_sesv2_configuration_set" "digests" {
  configuration_set_name = var.name

  delivery_options {
    tls_policy = "REQUIRE"
  }
  reputation_options {
    reputation_metrics_enabled = true
  }
  sending_options {
    sending_enabled = true
  }
  suppression_options {
    suppressed_reasons = ["BOUNCE", "COMPLAINT"]
  }
}

resource "aws_sesv2_configuration_set_event_destination" "alerts" {
  configuration_set_name = aws_sesv2_configuration_set.digests.configuration_set_name
  event_destination_name = "alerts"

  event_destination {
    enabled              = true
    matching_event_types = ["BOUNCE", "COMPLAINT", "DELIVERY_DELAY", "REJECT"]

    sns_destination {
      topic_arn = aws_sns_topic.alerts.arn
    }
  }

  depends_on = [aws_sns_topic_policy.alerts]
}
