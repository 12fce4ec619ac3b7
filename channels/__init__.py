"""Out of the house: connectors, delivery ledger, dispatcher, caps, suppression. See README.md."""
