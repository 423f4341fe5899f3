"""The `aws` provider: container jobs of AWS Batch. boto's packages are imported here only."""
