"""The delivery ledger's rules, as a state machine that hypothesis walks."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from channels.errors import IllegalStep
from channels.ledger import FINAL, FROM, UNSENT, Receipt, State, Step, after, fold


class OneDelivery(RuleBasedStateMachine):
    """A delivery, a worker that may die at any moment, and a provider that counts what it was handed."""

    def __init__(self) -> None:
        super().__init__()
        self.state = State.RESERVED
        self.sent = 0
        self.refused_by_gate = False
        self.taken_by_provider = 0
        self.uncertain_ever = False

    def step(self, step: Step) -> None:
        allowed, following = FROM[step]
        if self.state in allowed:
            self.state = after(self.state, step)
            assert self.state is following
        else:
            with pytest.raises(IllegalStep):
                after(self.state, step)

    @rule(step=st.sampled_from([Step.CLAIM, Step.CANCEL, Step.WITHHOLD]))
    def before_the_first_byte(self, step: Step) -> None:
        refused = step in {Step.CANCEL, Step.WITHHOLD} and self.state in {State.RESERVED, State.INTENT}
        self.step(step)
        self.refused_by_gate |= refused

    @precondition(lambda self: self.state is State.INTENT)
    @rule(step=st.sampled_from([Step.ACCEPT, Step.REJECT, Step.DEFER, Step.LOSE]), took=st.booleans())
    def send(self, step: Step, took: bool) -> None:
        self.sent += 1
        # Only an uncertain attempt leaves open whether the provider took it.
        self.taken_by_provider += {Step.ACCEPT: 1, Step.REJECT: 0, Step.DEFER: 0, Step.LOSE: int(took)}[step]
        self.uncertain_ever |= step is Step.LOSE
        self.step(step)

    @rule(step=st.sampled_from([Step.ACCEPT, Step.REJECT, Step.LOSE, Step.DEFER]))
    @precondition(lambda self: self.state is not State.INTENT)
    def a_stale_worker_speaks(self, step: Step) -> None:
        before = self.state
        self.step(step)
        assert self.state is before

    @rule(receipt=st.sampled_from(list(Receipt)))
    @precondition(lambda self: self.taken_by_provider > 0)
    def receipt_arrives(self, receipt: Receipt) -> None:
        if self.state not in FINAL:
            self.state = fold(self.state, receipt)

    @invariant()
    def never_twice(self) -> None:
        assert self.taken_by_provider <= 1

    @invariant()
    def never_after_a_no(self) -> None:
        if self.refused_by_gate:
            assert self.state in {State.CANCELLED, State.WITHHELD}
            assert self.taken_by_provider == 0

    @invariant()
    def what_left_is_never_called_unsent(self) -> None:
        if self.taken_by_provider:
            assert self.state not in UNSENT | {State.RESERVED}


TestOneDelivery = OneDelivery.TestCase


def test_final_states_have_no_way_out() -> None:
    for state in FINAL:
        for step in Step:
            with pytest.raises(IllegalStep):
                after(state, step)
        for receipt in Receipt:
            with pytest.raises(IllegalStep):
                fold(state, receipt)


def test_uncertain_is_never_claimed_again() -> None:
    with pytest.raises(IllegalStep):
        after(State.UNCERTAIN, Step.CLAIM)


@given(st.lists(st.sampled_from(list(Receipt)), max_size=5))
def test_every_order_and_repetition_of_receipts_ends_in_the_same_state(receipts: list[Receipt]) -> None:
    ends = set()
    for order in permutations(receipts):
        state = State.ACCEPTED
        for receipt in (*order, *order):
            state = fold(state, receipt)
        ends.add(state)
    assert len(ends) == 1
