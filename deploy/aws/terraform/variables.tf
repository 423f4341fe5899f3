variable "region" {
  description = "The region where jobs run, such as eu-central-1."
  type        = string
}

variable "vpc_id" {
  description = "The network that machines for jobs stand in."
  type        = string
}

variable "subnet_ids" {
  description = "Its subnets for them: with a way out, to registries of images and to AWS itself."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) > 0
    error_message = "There has to be a subnet."
  }
}

variable "output_bucket" {
  description = "The name of the bucket that is made for the output of jobs; no other in the world may have it."
  type        = string
}

variable "urgent_vcpus" {
  description = "The vCPUs that urgent jobs have at most, on machines on demand."
  type        = number
  default     = 64
}

variable "bulk_vcpus" {
  description = "The vCPUs that all other jobs have at most, on spot machines."
  type        = number
  default     = 256
}

variable "instance_types" {
  description = "The machines, or families of them, that AWS Batch chooses from."
  type        = list(string)
  default     = ["optimal"]
}

variable "retention_days" {
  description = "How long output is kept: the control plane's RETENTION_EXECUTIONS_DAYS."
  type        = number
  default     = 30

  validation {
    condition     = var.retention_days >= 1 && floor(var.retention_days) == var.retention_days
    error_message = "A whole number of days, and one at least."
  }
}
