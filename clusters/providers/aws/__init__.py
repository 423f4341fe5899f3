"""The `aws` provider: container jobs of AWS Batch, machines of EC2. boto's packages are imported here only."""
