"""Policies that a placement may name: each turns options into the exact vector that is drawn from."""
