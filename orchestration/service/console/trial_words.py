"""What the pages of experiments, rollouts and learners say of states, verdicts and reasons. Enters: codes. Leaves: words, and a tone (good, bad, wait, off)."""

from typing import Final

STATES: Final = {
    "running": ("Running", "wait"),
    "watched": ("With everybody, watched", "wait"),
    "done": ("Done: it rules", "good"),
    "stopped": ("Stopped", "off"),
    "rolled_back": ("Went back", "bad"),
}
VERDICTS: Final = {
    "running": ("Not decided", "wait"),
    "win": ("Better", "good"),
    "harm": ("Worse", "bad"),
    "mismatch": ("Not divided as declared", "bad"),
}
OUTCOMES: Final = {
    "promoted": ("Rules", "good"),
    "ramp": ("A rollout began", "good"),
    "shadow": ("Did not leave the shadow", "bad"),
    "busy": ("Waits for another experiment", "wait"),
    "held": ("Held by the gate", "off"),
    "overtaken": ("Overtaken by another model", "off"),
    "too_little": ("Too little to learn from", "off"),
    "leak": ("A feature knows the answer", "bad"),
}
REASONS: Final = {
    "started": "it was started",
    "evidence": "the evidence allows it",
    "not_decided": "nothing is decided yet",
    "sample_ratio_mismatch": "people are not divided as declared",
    "too_few_outcomes": "too few outcomes yet",
    "shown_to_be_worse": "it is shown to be worse, by less than would end it yet",
    "nothing_shown": "the control was shown nothing yet",
    "telemetry_lost": "nothing is heard of many people",
    "everybody takes part": "everybody takes part",
    "not_reproduced": "decisions of before were not made again to the byte",
    "too_slow": "it is too slow",
    "done_without": "it cannot rank too often",
    "would_earn_less": "it would have earned less",
}


def state(code: str) -> tuple[str, str]:
    """A state of an experiment, and its tone."""
    return STATES.get(code, (code.replace("_", " "), "off"))


def verdict(code: str) -> tuple[str, str]:
    """What a look says, and its tone."""
    return VERDICTS.get(code, (code.replace("_", " "), "off"))


def outcome(code: str) -> tuple[str, str]:
    """What a week came to, and its tone."""
    return OUTCOMES.get(code, (code.replace("_", " "), "off"))


def reason(code: str) -> str:
    """Why something holds or moved. Codes with figures after a colon keep them."""
    head, mark, rest = code.partition(": ")
    said = REASONS.get(head, head.replace("_", " "))
    return f"{said}: {rest.replace('_', ' ')}" if mark else said
