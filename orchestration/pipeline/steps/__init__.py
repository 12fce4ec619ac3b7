"""What each asset does, one module a noun: coroutines over the house that return figures. No Dagster, no words of a person."""
