"""Whether a model may score now: one that takes too long, or raises, is done without, by name (decision.D11).

Enters: what was gathered, a seed. Leaves: the outcome, and the inputs it was made from: those of a decision by rules say `model_slow` or `model_failed` and name no model, so a
replay needs neither the model nor the clock. A model is proven once a process, off the event loop, before a request rests on it; afterwards each decision is
timed, and after a slow one the model is proven again, and set aside for a while where it fails; one that raised is set aside at once. In a proof processor time counts, not the clock on the wall: a busy
machine is no slow model.
"""

import asyncio
import time
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kernel.log import get_logger
from kernel.model import Model
from orchestration.decision.engine import GREEDY, Outcome, decide
from orchestration.decision.errors import ModelFailed
from orchestration.decision.inputs import Inputs
from orchestration.decision.policy import Policy

SLOW: Final = "model_slow"
FAILED: Final = "model_failed"
_ASIDE_SECONDS: Final = 5.0
_PROOF_SECONDS: Final = 1.0  # the longest that a first request waits for a proof that is under way
_log = get_logger("decision")


class Guarded:
    """A model of which whatever goes wrong while it scores is one error, `ModelFailed`, so that nothing else is mistaken for it. Implements `kernel.model.Model`."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.digest = model.digest
        self.feature_names = model.feature_names
        self.contributions = model.contributions

    def score(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """The model's scores; `ModelFailed` where it raises or gives another number of them."""
        try:
            scores = self._model.score(rows)
        except Exception as fault:  # broad: a library's own accident; rules rank in its place
            raise ModelFailed(f"expected {len(rows)} scores, got {type(fault).__name__}") from fault
        if len(scores) != len(rows):
            raise ModelFailed(f"expected {len(rows)} scores, got {len(scores)}")
        return scores


@dataclass(slots=True)
class _Known:
    """What is known of one model: until when it is set aside and why, or the proof that is under way."""

    aside_until: float = 0.0
    why: str = SLOW
    proof: asyncio.Task[float] | None = None
    proven: bool = False


@dataclass(slots=True)
class Steady:
    """One per process and event loop. `most_seconds`: of processor time that one decision's scores may take."""

    most_seconds: float
    _known: dict[str, _Known] = field(default_factory=dict)

    async def decide(
        self, inputs: Inputs, seed: str, model: Model | None, *, policy: Policy = GREEDY
    ) -> tuple[Inputs, Outcome]:
        """The decision by the model where it is quick and sound, by rules where it is not."""
        if model is None:
            return inputs, decide(inputs, seed, policy=policy)
        known = self._known.setdefault(model.digest, _Known())
        guarded = Guarded(model)
        if (why := await self._not_now(known, guarded, inputs)) is not None:
            return _without(inputs, why, seed, policy)
        began = time.perf_counter()
        try:
            made = decide(inputs, seed, model=guarded, policy=policy)
        except ModelFailed as fault:
            self._set_aside(known, guarded, FAILED, fault)
            return _without(inputs, FAILED, seed, policy)
        if time.perf_counter() - began > self.most_seconds:
            known.proven = False  # the machine or the model: the next request proves it
        return inputs, made

    async def _not_now(self, known: _Known, model: Model, inputs: Inputs) -> str | None:
        """Why the model does not score now, or None."""
        if known.proven:
            return None
        if time.monotonic() < known.aside_until:
            return known.why
        if known.proof is None:
            known.proof = asyncio.create_task(asyncio.to_thread(_timed, model, inputs))
        try:
            took = await asyncio.wait_for(asyncio.shield(known.proof), _PROOF_SECONDS)
        except TimeoutError:
            return SLOW
        except ModelFailed as fault:
            self._set_aside(known, model, FAILED, fault)
            return FAILED
        finally:
            if known.proof is not None and known.proof.done():
                known.proof = None
        if took > self.most_seconds:
            self._set_aside(known, model, SLOW)
            return SLOW
        known.proven = True
        return None

    @staticmethod
    def _set_aside(known: _Known, model: Model, why: str, fault: ModelFailed | None = None) -> None:
        known.proven, known.why = False, why
        known.aside_until = time.monotonic() + _ASIDE_SECONDS
        _log.warning(why, model=model.digest, error_type=type(fault.__cause__).__name__ if fault is not None else None)


def _without(inputs: Inputs, why: str, seed: str, policy: Policy) -> tuple[Inputs, Outcome]:
    """By rules, under a name; the model is not named, since it had no part."""
    plain = replace(inputs, fallback=why, versions=replace(inputs.versions, model=None))
    return plain, decide(plain, seed, policy=policy)


def _timed(model: Model, inputs: Inputs) -> float:
    """Seconds of processor time of a second run: the first one of a process also makes what it keeps."""
    decide(inputs, "proof", model=model)
    began = time.thread_time()
    decide(inputs, "proof", model=model)
    return time.thread_time() - began
