"""What the native resources of this floor take and give, for the OpenAPI schema and the browsable API's forms."""
