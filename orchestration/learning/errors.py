"""What can go wrong while learning. A refused estimate or a "hold" is a result, not one of these."""

from kernel.errors import Conflict, InvalidInput, NotFound, Unavailable


class LogUnusable(InvalidInput):
    """The log of decisions cannot be read as one."""

    code = "log_unusable"
    remedy = "Name existing columns with --arm, --reward, --propensity; every row needs an arm, a reward, a propensity."


class PropensityMissing(InvalidInput):
    """Without the probability of what was shown there is no honest estimate (decision.D28)."""

    code = "propensity_missing"
    remedy = "Give the probability with which each row's arm was chosen, above 0 and at most 1; it cannot be guessed."


class PolicyUnusable(InvalidInput):
    """The policy to evaluate is not one over the arms of this log."""

    code = "policy_unusable"
    remedy = (
        "Use uniform, ranker, arm:NAME with an arm of the log, or probs:FILE with a row per log row that sums to 1."
    )


class TooLittleToLearn(InvalidInput):
    """Not enough rows, or not enough different arms or rewards, to train on."""

    code = "too_little_to_learn"
    remedy = "Collect more decisions with outcomes; until then the rules decide."


class UnknownModel(NotFound):
    """No model with this digest is registered."""

    code = "unknown_model"
    remedy = "List what is registered: candor learn status."


class ModelBroken(Unavailable):
    """The model's file is missing or not what its digest says. Decisions go on by rules."""

    code = "model_broken"
    remedy = "Promote another model (candor learn rollback) or train again (candor learn train)."


class NothingToRollBack(Conflict):
    """No earlier model was ever active."""

    code = "nothing_to_roll_back"
    remedy = "Nothing to do: the rules decide when no model is active."


class NotBetter(Conflict):
    """The gate says hold; promotion needs evidence."""

    code = "not_better"
    remedy = "Read candor learn status; promote a named digest with --force and a reason if you know better."


class RewardsInvalid(InvalidInput):
    """The table of rewards cannot be used as it is."""

    code = "rewards_invalid"
    remedy = "Compare it with the shipped orchestration/learning/data/rewards.yaml, whose head explains every word."


class NoRewardsYet(NotFound):
    """No version of the rewards was ever counted."""

    code = "no_rewards_yet"
    remedy = "Count them: candor learn rewards --recompute, or run the pipeline."


class UnknownFeature(InvalidInput):
    """A feature that is not declared."""

    code = "unknown_feature"
    remedy = (
        "Names are those of features.yaml (CANDOR_PROFILES__FEATURES_FILE, or the shipped profiles/data/features.yaml)."
    )


class LeakFound(Conflict):
    """Features know what happened after the moment they are used for; a model of them is refused."""

    code = "leak_found"
    remedy = "Make the features as of the moment: by the declared features and candor's own clock, or with the column of the time they were known."


class ProxyFound(LeakFound):
    """A feature is a sensitive attribute of people, or tells one; a model of it is refused until an officer accepts it (DSA Art. 26(3))."""

    code = "proxy_found"
    remedy = "Look at what it tells (candor report proxies); take the feature out of the declared features, or let an officer accept it with a reason (candor learn accept)."


class NothingToAccept(NotFound):
    """No audit found that this feature tells this attribute."""

    code = "nothing_to_accept"
    remedy = "List what was found: candor report proxies. A feature that is made of a sensitive attribute cannot be accepted."


class CardInvalid(InvalidInput):
    """The words of model cards cannot be used."""

    code = "card_invalid"
    remedy = "Correct the file that learning.card_file names, or leave it out for the shipped words."


class SensitiveInvalid(InvalidInput):
    """The list of sensitive attributes cannot be used."""

    code = "sensitive_invalid"
    remedy = "Correct the file that learning.sensitive_file names, or leave it out for the shipped list."


class UnknownState(NotFound):
    """No state of a learner is kept under this digest."""

    code = "unknown_state"
    remedy = "Restore learning.learned from a backup of the database: decisions name the states they acted on."


class StateBroken(Unavailable):
    """What a learner knew cannot be read as that. Its placement is decided greedily by the ranking meanwhile."""

    code = "state_broken"
    remedy = "Name another policy for the placement, or restore learning.learned from a backup of the database."


class MetricsInvalid(InvalidInput):
    """The file of metrics cannot be used as it is."""

    code = "metrics_invalid"
    remedy = "Compare it with the shipped orchestration/learning/data/metrics.yaml, whose head explains every word."


class UnknownMetric(InvalidInput):
    """A metric that is not declared."""

    code = "unknown_metric"
    remedy = "Declare it in the file of metrics (CANDOR_LEARNING__METRICS_FILE), or use one of those named."


class ExperimentInvalid(InvalidInput):
    """An experiment's declaration does not say what it must; `problems` name every place."""

    code = "experiment_invalid"
    remedy = "Correct the named places and start it again; nothing was started."


class UnknownExperiment(NotFound):
    """No experiment of this name was ever started."""

    code = "unknown_experiment"
    remedy = "List them: candor experiment status."


class ExperimentTaken(Conflict):
    """The name is taken, or another experiment runs at this placement."""

    code = "experiment_taken"
    remedy = "Stop the one that runs (candor experiment stop NAME), or choose another name; a name is used once."


class ExperimentOver(Conflict):
    """The experiment runs no more."""

    code = "experiment_over"
    remedy = "Start another one; what this one found stays in candor experiment status NAME."
