"""Whether a model may score now: one that takes too long is done without, by name (decision.D11).

Enters: what was gathered, a seed. Leaves: the outcome, and the inputs it was made from: those of a decision by rules say `model_slow` and name no model, so a replay
needs neither the model nor the clock. A model is proven once a process, off the event loop, before a request rests on it; afterwards each decision is
timed, and after a slow one the model is proven again, and set aside for a while where it fails. In a proof processor time counts, not the clock on the wall: a busy
machine is no slow model.
"""

import asyncio
import time
from dataclasses import dataclass, field, replace
from typing import Final

from kernel.log import get_logger
from kernel.model import Model
from orchestration.decision.engine import GREEDY, Outcome, decide
from orchestration.decision.inputs import Inputs
from orchestration.decision.policy import Policy

SLOW: Final = "model_slow"
_ASIDE_SECONDS: Final = 5.0
_PROOF_SECONDS: Final = 1.0  # the longest that a first request waits for a proof that is under way
_log = get_logger("decision")


@dataclass(slots=True)
class _Known:
    """What is known of one model: until when it is set aside, or the proof that is under way."""

    aside_until: float = 0.0
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
        """The decision by the model where it is quick, by rules where it is not."""
        if model is None:
            return inputs, decide(inputs, seed, policy=policy)
        known = self._known.setdefault(model.digest, _Known())
        if not await self._may(known, model, inputs):
            plain = replace(inputs, fallback=SLOW, versions=replace(inputs.versions, model=None))
            return plain, decide(plain, seed, policy=policy)
        began = time.perf_counter()
        made = decide(inputs, seed, model=model, policy=policy)
        if time.perf_counter() - began > self.most_seconds:
            known.proven = False  # the machine or the model: the next request proves it
        return inputs, made

    async def _may(self, known: _Known, model: Model, inputs: Inputs) -> bool:
        if known.proven:
            return True
        if time.monotonic() < known.aside_until:
            return False
        if known.proof is None:
            known.proof = asyncio.create_task(asyncio.to_thread(_timed, model, inputs))
        try:
            took = await asyncio.wait_for(asyncio.shield(known.proof), _PROOF_SECONDS)
        except TimeoutError:
            return False
        finally:
            if known.proof is not None and known.proof.done():
                known.proof = None
        if took > self.most_seconds:
            self._set_aside(known, model)
            return False
        known.proven = True
        return True

    @staticmethod
    def _set_aside(known: _Known, model: Model) -> None:
        known.proven = False
        known.aside_until = time.monotonic() + _ASIDE_SECONDS
        _log.warning("model_slow", model=model.digest)


def _timed(model: Model, inputs: Inputs) -> float:
    """Seconds of processor time of a second run: the first one of a process also makes what it keeps."""
    decide(inputs, "proof", model=model)
    began = time.thread_time()
    decide(inputs, "proof", model=model)
    return time.thread_time() - began
