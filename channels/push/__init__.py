"""Web Push: browsers' subscriptions, the keys that sign, the encrypted message and its way out."""
