"""Learning: training sets, ranker, off-policy evaluation, promotion, registry."""
