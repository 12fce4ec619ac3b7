"""The explain room's section of the settings tree (``CANDOR_EXPLAIN__…``)."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from kernel.settings import Section


class ExplainSettings(Section):
    """How explanations are made and how long their links live."""

    verify_attributions: Annotated[
        bool,
        Field(
            description="Compute every attribution a second time by SHAP's TreeExplainer and refuse it where the two differ. "
            "The first one of a process loads SHAP, which takes seconds: the process that makes explanations ahead does so, the one that serves "
            "requests does not, and the log tells of each explanation whether it was verified."
        ),
    ] = True
    ahead: Annotated[
        bool,
        Field(
            description="Make the explanation of every decision before anybody asks, in a process of low priority. Otherwise it is made when it "
            "is asked for, which takes tens of milliseconds, and costs nothing until then."
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
    drift_days: Annotated[
        int,
        Field(
            ge=1, le=180, description="The newest days whose first reasons are held against those of the days before."
        ),
    ] = 7
    drift_alarm: Annotated[
        float,
        Field(
            gt=0,
            description="A population stability index of first reasons, less what chance makes of it, above which it is told of; from 0.1 on "
            "something moved, above 0.25 something else is weighed than before.",
        ),
    ] = 0.2
    trial_sample: Annotated[
        int, Field(ge=1, le=10_000, description="How many explanations of the last day are tried to be proven wrong.")
    ] = 200
    queue_most: Annotated[
        int,
        Field(
            ge=1,
            description="How many decisions may wait to be explained ahead; beyond it the oldest are put off (`queue_full`). What is put off is explained when "
            "somebody asks for it, and ahead once nothing else waits.",
        ),
    ] = 2000
    queue_seconds: Annotated[
        int,
        Field(
            ge=1,
            description="How long a decision may wait to be explained ahead; then it is put off (`waited_too_long`), in favour of newer ones.",
        ),
    ] = 600
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

    @property
    def queue_age(self) -> timedelta:
        """`queue_seconds`."""
        return timedelta(seconds=self.queue_seconds)
