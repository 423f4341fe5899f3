"""Long-running services on this machine. Kept empty: their supervisor is started through it and must stay light."""
