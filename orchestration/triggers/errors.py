"""What can go wrong with triggers. A run that ends without a message is no error: it has a state and a reason."""

from kernel.errors import Conflict, InvalidInput, NotFound


class TriggersInvalid(InvalidInput):
    """The triggers file does not say what it must say; `problems` name every place with its line."""

    code = "triggers_invalid"
    remedy = "Correct the named lines and try again: candor trigger check FILE; nothing of the file was taken."


class UnknownTrigger(NotFound):
    """No trigger of that name is published."""

    code = "unknown_trigger"
    remedy = "Look at `candor trigger list`; publish a file with it: candor trigger publish FILE."


class NotCallable(InvalidInput):
    """The trigger waits for something else than a call."""

    code = "trigger_not_callable"
    remedy = "Call a trigger whose `when` is api, or send directly: POST /v1/sends."


class TriggerPaused(Conflict):
    """The trigger is paused; nothing was taken."""

    code = "trigger_paused"
    remedy = "Resume it first: candor trigger resume NAME."


class UnknownRun(NotFound):
    """No run with this id."""

    code = "unknown_run"
    remedy = "Check the id (trg_…); `candor trigger runs` lists the newest."


class IllegalStep(Conflict):
    """A run may not take this step from where it stands."""

    code = "trigger_illegal_step"
    remedy = "Look where it stands: candor trigger show RUN."


class UnknownCampaign(NotFound):
    """No campaign was ever started for this placement."""

    code = "unknown_campaign"
    remedy = "Start one: candor campaign start PLACEMENT."


class CampaignStands(Conflict):
    """The campaign stands elsewhere than the act needs."""

    code = "campaign_stands"
    remedy = "Look where it stands: candor campaign status PLACEMENT."
