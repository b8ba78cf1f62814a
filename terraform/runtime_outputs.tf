output "repository_url" {
  description = "Where the image is pushed: docker push <this>:<version>."
  value       = aws_ecr_repository.image.repository_url
}

output "ui_url" {
  description = "Address of Dagster's UI; empty where there is no load balancer."
  value       = local.balanced ? "https://${var.ui.host}" : ""
}

output "ui_target" {
  description = "What the UI's name points to, where ui.zone_id made no record: a CNAME to this."
  value       = local.balanced ? aws_lb.ui[0].dns_name : ""
}

output "ui_tunnel" {
  description = "Commands that bring the UI to http://127.0.0.1:3000, where ui.reach is tunnel; they need the Session Manager plugin."
  value       = !local.tunnelled ? "" : <<-EOT
    task=$(aws ecs list-tasks --region ${var.region} --cluster ${var.name} --service-name ${local.web_service} --query 'taskArns[0]' --output text)
    runtime=$(aws ecs describe-tasks --region ${var.region} --cluster ${var.name} --tasks "$task" --query "tasks[0].containers[?name=='webserver'].runtimeId" --output text)
    aws ssm start-session --region ${var.region} --target "ecs:${var.name}_$${task##*/}_$runtime" --document-name AWS-StartPortForwardingSession --parameters portNumber=3000,localPortNumber=3000
  EOT
}

output "log_group" {
  description = "Log group of the containers: streams code/, webserver/, daemon/ and run/, or morning/."
  value       = local.runs ? local.log_group : ""
}

output "database_secret_arn" {
  description = "Secret of Dagster's database, which RDS keeps; empty where there is none."
  value       = local.served ? local.database_secret : ""
}
