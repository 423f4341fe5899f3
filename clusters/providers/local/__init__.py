"""Jobs on the machine the control plane stands on. Kept empty: the runner is started through it and must stay light."""
