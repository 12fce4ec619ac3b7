"""`candor evaluate LOG …`: the stand-alone command at the top level; its words are in `learn`."""

from orchestration.service.cli.learn import evaluate_log
from orchestration.service.cli.runtime import Commands


def register(app: Commands) -> None:
    """Add the command to the top level."""
    app.add("evaluate")(evaluate_log)
