"""What happened: collection, exposures, interactions, provider receipts, outcomes."""
