"""The batch walk as Dagster assets."""
