"""How sure a learner may be of what an arm earns: an interval that holds for few decisions as it does for many.

Enters: a learned state. Leaves: 95 % intervals of mean rewards. Pure.

Rewards are mostly nothing and now and then something, so that a normal interval of few decisions is far too narrow. Taken is the reward of two values, nothing and r, that has the
same mean and the same variance: sum^2 / squares of the decisions had it. Of such a share the interval is Clopper and Pearson's (1934), which covers with 95 % at any size; sums that
fade make the sizes fractions, for which it is defined as well. Rewards of one sign and one size are that reward, and the interval is exact.
"""

from typing import Final

from orchestration.decision.policies.learned import Learned

_TAIL: Final = 0.025


def interval(state: Learned, arm: str) -> tuple[float, float]:
    """Of the mean reward of an arm that was decided for at least once; its estimate lies within."""
    known, estimate = state.arm(arm), state.estimate(arm)
    own = _size(known.reward, known.squares)
    arms = state.arms.values()
    usual = _size(sum(one.reward for one in arms), sum(one.squares for one in arms)) or 1.0
    ends = [bound * own for bound in _share(known.reward / own, known.n)] if own else [0.0]
    if usual > own:  # what nobody saw of this arm was seen of others: that it cannot happen here is not known yet
        ends += [0.0 if known.reward <= 0 else ends[0], usual * _share(known.reward / usual, known.n)[1]]
    return min(*ends, estimate), max(*ends, estimate)


def _size(reward: float, squares: float) -> float:
    """The value of a two-valued reward with this sum and this sum of squares; 0 where there was none."""
    return squares / reward if reward else 0.0


def _share(hits: float, n: float) -> tuple[float, float]:
    """Clopper and Pearson's interval of a share."""
    from scipy.special import betaincinv  # here: nobody waits for it who decides

    hits = min(max(hits, 0.0), n)
    low = float(betaincinv(hits, n - hits + 1.0, _TAIL)) if hits > 0 else 0.0
    high = float(betaincinv(hits + 1.0, n - hits, 1.0 - _TAIL)) if hits < n else 1.0
    return low, high
