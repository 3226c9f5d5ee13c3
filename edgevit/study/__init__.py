"""Several models on the same photos: trained, measured and compared."""
