# What the control plane needs of one region of an AWS account, as docs/clouds.md tells. The names of roles are those
# that ../policy.json permits, and go with DEPLOYMENT=controlplane.

provider "aws" {
  region = var.region

  default_tags {
    tags = { "controlplane" = local.deployment }
  }
}

data "aws_caller_identity" "current" {}

locals {
  deployment = "controlplane"
  queues     = { HIGH = "urgent", LOW = "bulk" }

  # Who may take which role, and what AWS itself permits those who have it.
  managed = "arn:aws:iam::aws:policy"
  roles = {
    # The control plane, where it runs on a machine of EC2.
    "controlplane" = { service = "ec2.amazonaws.com", policies = [] }
    # AWS Batch, to start and end machines.
    "controlplane-batch" = {
      service  = "batch.amazonaws.com"
      policies = ["${local.managed}/service-role/AWSBatchServiceRole"]
    }
    # The machines of AWS Batch, to be told of containers and to fetch their images.
    "controlplane-batch-machine" = {
      service  = "ec2.amazonaws.com"
      policies = ["${local.managed}/service-role/AmazonEC2ContainerServiceforEC2Role"]
    }
    # Starting a container: its image and its log.
    "controlplane-job-execution" = {
      service  = "ecs-tasks.amazonaws.com"
      policies = ["${local.managed}/service-role/AmazonECSTaskExecutionRolePolicy"]
    }
    # Starting a long-running container: its image, its log and its secrets.
    "controlplane-container-start" = {
      service  = "ecs-tasks.amazonaws.com"
      policies = ["${local.managed}/service-role/AmazonECSTaskExecutionRolePolicy"]
    }
    # Containers themselves, and machines of instance jobs: nothing, until policies are attached.
    "controlplane-job-default"       = { service = "ecs-tasks.amazonaws.com", policies = [] }
    "controlplane-container-default" = { service = "ecs-tasks.amazonaws.com", policies = [] }
    "controlplane-machine-default"   = { service = "ec2.amazonaws.com", policies = [] }
  }
  attached = merge([
    for role, row in local.roles : { for policy in row.policies : "${role} ${policy}" => { role = role, policy = policy } }
  ]...)
}

# Roles

resource "aws_iam_role" "all" {
  for_each = local.roles

  name = each.key
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = each.value.service } }]
  })
}

resource "aws_iam_role_policy_attachment" "managed" {
  for_each = local.attached

  role       = aws_iam_role.all[each.value.role].name
  policy_arn = each.value.policy
}

resource "aws_iam_instance_profile" "machines" {
  for_each = toset(["controlplane", "controlplane-batch-machine", "controlplane-machine-default"])

  name = each.key
  role = aws_iam_role.all[each.key].name
}

# To be attached as well to whatever else the control plane runs as.
resource "aws_iam_policy" "control_plane" {
  name        = "controlplane"
  description = "All that the control plane may do at AWS Batch, EC2 and ECS"
  policy      = replace(file("${path.module}/../policy.json"), "ACCOUNT", data.aws_caller_identity.current.account_id)
}

resource "aws_iam_policy" "output" {
  name        = "controlplane-output"
  description = "What the control plane may do with the bucket for output"
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      { Effect = "Allow", Action = "s3:ListBucket", Resource = aws_s3_bucket.output.arn },
      {
        Effect   = "Allow"
        Action   = ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
        Resource = "${aws_s3_bucket.output.arn}/*"
      },
    ]
  })
}

resource "aws_iam_role_policy_attachment" "control_plane" {
  for_each = { batch = aws_iam_policy.control_plane.arn, output = aws_iam_policy.output.arn }

  role       = aws_iam_role.all["controlplane"].name
  policy_arn = each.value
}

# Long-running containers

resource "aws_ecs_cluster" "containers" {
  name = local.deployment
}

resource "aws_cloudwatch_log_group" "containers" {
  name              = "/ecs/${local.deployment}"
  retention_in_days = 90
}

resource "aws_iam_role_policy" "secrets" {
  name = "secrets"
  role = aws_iam_role.all["controlplane-container-start"].name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = "ssm:GetParameters"
      Resource = "arn:aws:ssm:*:${data.aws_caller_identity.current.account_id}:parameter/${local.deployment}/*"
    }]
  })
}

# Machines and queues

resource "aws_security_group" "jobs" {
  name        = "controlplane-jobs"
  description = "Jobs reach everything and nobody reaches them"
  vpc_id      = var.vpc_id

  egress {
    from_port        = 0
    to_port          = 0
    protocol         = "-1"
    cidr_blocks      = ["0.0.0.0/0"]
    ipv6_cidr_blocks = ["::/0"]
  }
}

resource "aws_batch_compute_environment" "all" {
  for_each = {
    urgent = { type = "EC2", vcpus = var.urgent_vcpus, strategy = "BEST_FIT_PROGRESSIVE" }
    bulk   = { type = "SPOT", vcpus = var.bulk_vcpus, strategy = "SPOT_PRICE_CAPACITY_OPTIMIZED" }
  }

  compute_environment_name = "controlplane-${each.key}"
  type                     = "MANAGED"
  service_role             = aws_iam_role.all["controlplane-batch"].arn

  compute_resources {
    type                = each.value.type
    allocation_strategy = each.value.strategy
    min_vcpus           = 0
    max_vcpus           = each.value.vcpus
    instance_type       = var.instance_types
    instance_role       = aws_iam_instance_profile.machines["controlplane-batch-machine"].arn
    subnets             = var.subnet_ids
    security_group_ids  = [aws_security_group.jobs.id]
  }

  # AWS Batch needs its role until the last machine has gone.
  depends_on = [aws_iam_role_policy_attachment.managed]
}

resource "aws_batch_job_queue" "all" {
  for_each = { for priority, name in local.queues : name => priority }

  name     = each.key
  state    = "ENABLED"
  priority = each.value == "HIGH" ? 100 : 1

  compute_environment_order {
    order               = 1
    compute_environment = aws_batch_compute_environment.all[each.key].arn
  }
}

# The output of jobs

resource "aws_s3_bucket" "output" {
  bucket = var.output_bucket
}

resource "aws_s3_bucket_public_access_block" "output" {
  bucket                  = aws_s3_bucket.output.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_server_side_encryption_configuration" "output" {
  bucket = aws_s3_bucket.output.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

# What the control plane forgets is to be gone.
resource "aws_s3_bucket_versioning" "output" {
  bucket = aws_s3_bucket.output.id

  versioning_configuration {
    status = "Disabled"
  }
}

# The control plane removes output itself, after RETENTION_EXECUTIONS_DAYS. This is for what it has missed.
resource "aws_s3_bucket_lifecycle_configuration" "output" {
  bucket = aws_s3_bucket.output.id

  rule {
    id     = "what-was-left"
    status = "Enabled"

    filter {
      prefix = "outputs/"
    }

    expiration {
      days = var.retention_days + 90
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }
}
