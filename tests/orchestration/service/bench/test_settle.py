"""`candor bench settle`: what counts as told rightly."""

from kernel.ids import RecordId
from orchestration.service.bench.settle import _led, _right

OLD = [RecordId(f"rec_{n}") for n in range(4)]


def test_nobody_is_right_for_who_was_not_there_and_a_person_is_whom_most_of_her_records_are() -> None:
    owners = dict(zip(OLD, ["p1", "p1", "p1", "p2"], strict=True))
    truth = [["ada", "ada", "bob", "cyd"], ["ada", "bob", "eve", "eve"]]
    came = {row: RecordId(f"rec_new{row}") for row in range(4)}
    owners |= dict(zip(came.values(), ["p1", "p1", "p9", "p2"], strict=True))
    assert _led(owners, OLD, came) == ["p1", "p1", None, "p2"]
    # Ada is found; Bob is not p1, whose records are mostly Ada's; Eve is new and alone; Eve is not Cyd.
    assert _right(owners, OLD, came, truth) == 0.5
    assert _right(owners, OLD, came, [None, truth[1]]) is None
