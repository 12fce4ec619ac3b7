"""Inputs and models for the pure tests."""

from dataclasses import replace

import numpy as np

from orchestration.decision.inputs import Arm, Inputs, Permit, Versions

VERSIONS = Versions(
    graph=1, consent=2, profile=3, catalogue="sha256:c", feature_set="sha256:f", policy="sha256:p", model=None
)


def arm(name="a", channel="email", order=0, **changes):
    return replace(
        Arm(variant=name, channel=channel, purpose=f"marketing.{channel}", order=order, epsilon=0.1), **changes
    )


def inputs(arms, **changes):
    base = Inputs(
        at="2026-01-05T10:00:00.000000Z",
        person="per_01J00000000000000000000000",
        placement="cart",
        personalize_under="marketing.personalize",
        arms=tuple(arms),
        permits={
            "marketing.email|email": Permit(answer="granted", reason="granted", act="act_1"),
            "marketing.web|web": Permit(answer="granted", reason="granted"),
        },
        reach={"email": "idn_1", "web": "idn_2"},
        versions=VERSIONS,
    )
    return replace(base, **changes)


class Linear:
    """A model small enough to check by hand."""

    def __init__(self, names, weights):
        self.feature_names = tuple(names)
        self.weights = np.asarray(weights, dtype=np.float64)
        self.digest = "sha256:linear"

    def score(self, rows):
        return rows @ self.weights

    def contributions(self, row):
        return 0.0, row * self.weights
