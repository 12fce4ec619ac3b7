"""Decision: candidates, eligibility, ranking, policy, record. No HTTP outside endpoints, no Dagster."""
