locals {
  settings = {
    DEPLOYMENT               = local.deployment
    AWS_REGIONS              = var.region
    AWS_BATCH_QUEUES         = jsonencode({ (var.region) = local.queues })
    AWS_BATCH_PLATFORM       = "EC2"
    AWS_BATCH_JOB_ROLE       = aws_iam_role.all["controlplane-job-default"].arn
    AWS_BATCH_EXECUTION_ROLE = aws_iam_role.all["controlplane-job-execution"].arn
    AWS_EC2_NETWORKS = jsonencode({
      (var.region) = { subnets = var.subnet_ids, security_groups = [aws_security_group.jobs.id] }
    })
    AWS_EC2_INSTANCE_PROFILE = aws_iam_instance_profile.machines["controlplane-machine-default"].name
    AWS_ECS_CLUSTERS         = jsonencode({ (var.region) = aws_ecs_cluster.containers.name })
    AWS_ECS_EXECUTION_ROLE   = aws_iam_role.all["controlplane-container-start"].arn
    AWS_ECS_TASK_ROLE        = aws_iam_role.all["controlplane-container-default"].arn
    AWS_ECS_LOG_GROUP        = aws_cloudwatch_log_group.containers.name
    OUTPUT_STORAGE = jsonencode({
      type = "s3", bucket_name = aws_s3_bucket.output.bucket, region_name = var.region
    })
    RETENTION_EXECUTIONS_DAYS = tostring(var.retention_days)
  }
}

output "settings" {
  description = "The control plane's environment, a variable in each line."
  value       = join("\n", [for name, value in local.settings : "${name}=${value}"])

  # Whoever has these uses the queues.
  depends_on = [aws_batch_job_queue.all]
}

output "policies" {
  description = "What to attach to the control plane's identity, where that is not the role that was made for it."
  value       = [aws_iam_policy.control_plane.arn, aws_iam_policy.output.arn]
}

output "role" {
  description = "The control plane's role, which is its instance profile's as well, and which customers' roles trust."
  value       = aws_iam_role.all["controlplane"].arn
}
