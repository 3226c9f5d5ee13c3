"""Which training photos int8 ranges and export checks are computed on."""
