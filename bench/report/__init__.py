"""Results of many devices as one page and one table."""
