"""The explain room's section of the settings tree (``CANDOR_EXPLAIN__…``)."""

from typing import Annotated

from pydantic import Field

from kernel.settings import Section


class ExplainSettings(Section):
    """How explanations are made and how long their links live."""

    verify_attributions: Annotated[
        bool,
        Field(
            description="Compute every attribution a second time by SHAP's TreeExplainer and refuse it where the two differ. "
            "The first one of a process loads SHAP, which takes seconds."
        ),
    ] = True
    preferences_minutes: Annotated[
        int,
        Field(
            ge=5,
            description="How long the preference link on a why page works after the page was opened; short, because a page may be "
            "kept or passed on.",
        ),
    ] = 60
    why_days: Annotated[int, Field(ge=1, description="How long a why link works that a person's view carries.")] = 30
    most_levers: Annotated[
        int,
        Field(
            ge=0,
            le=5,
            description="How many changes that would have changed the decision are looked for; each costs re-runs.",
        ),
    ] = 3
    room: Annotated[
        float,
        Field(
            gt=0,
            le=1,
            description="The share of all processors up to which the process that makes explanations fills the machine. While others use "
            "more, it makes few: decisions come first, and who asks for an explanation gets it at once in any case.",
        ),
    ] = 0.4
    least_share: Annotated[
        float,
        Field(
            gt=0, le=1, description="The share of one processor that it works at least, however busy the machine is."
        ),
    ] = 0.05
