"""What differs between rules, place by place: a purpose that moved in its file is the same purpose."""

from consent import rulebook
from consent.rule_changes import Change, changes
from consent.settings import ConsentSettings


def test_every_place_that_says_something_else_is_told_and_no_other() -> None:
    before = {
        "purposes": {"version": "1", "purposes": [{"key": "a", "basis": {"uk": "consent"}, "on": True}, {"key": "b"}]}
    }
    after = {"purposes": {"version": "2", "purposes": [{"key": "b", "channels": ["email", "web"]}, {"key": "a", "basis": {"uk": "contract"}, "on": True}]}, "more": {"n": 1}}  # fmt: skip
    assert changes(before, after) == [
        Change("more", "n", None, "1"),
        Change("purposes", "purposes / a / basis / uk", "consent", "contract"),
        Change("purposes", "purposes / b / channels", None, "email, web"),
        Change("purposes", "version", "1", "2"),
    ]
    assert changes(after, before)[0] == Change("more", "n", "1", None)


def test_the_same_rules_differ_in_nothing_and_every_leaf_has_a_place_of_its_own() -> None:
    says = {part.name: part.says for part in rulebook.load(ConsentSettings()).parts}
    assert changes(says, dict(reversed(says.items()))) == []
    told = changes({}, says)
    assert len({(one.part, one.place) for one in told}) == len(told) > 200
