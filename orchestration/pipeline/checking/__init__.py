"""What must hold after each step, asked anew and not by the code that made it: coroutines over the house that return `Found`. No Dagster."""
