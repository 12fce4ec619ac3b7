"""Remembers and proves: an append-only Merkle log, signed checkpoints, proofs, receipts, lineage, and who may do what."""
