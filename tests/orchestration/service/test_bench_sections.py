"""Sections of a benchmark: one that fails is a bar that is missed, and the others are measured all the same."""

from kernel.errors import Unavailable
from orchestration.service.bench.learning_rows import Row, Section
from orchestration.service.bench.sections import measure


def good(full, told):
    told("half of it")
    return [Row("a.A1", "what", "1", "1", ok=True)]


def broken(full, told):
    raise Unavailable("expected a free connection, got none")


def odd(full, told):
    return {}[told.__name__]


def test_an_accident_that_nobody_foresaw_is_a_missed_bar():
    def told(_):
        return None

    report = measure((Section("one", "first", run=odd), Section("two", "second", run=good)), [], full=False, told=told, shared=None)  # fmt: skip
    assert [(row.id, row.figure, row.ok) for row in report.rows] == [("one", "KeyError: 'told'", False), ("a.A1", "1", True)]  # fmt: skip


def test_a_section_that_fails_is_a_missed_bar_and_rows_are_told_as_they_come():
    heard = []
    sections = (Section("one", "first", run=broken), Section("two", "second", run=good), Section("three", "third"))
    report = measure(sections, [], full=False, told=heard.append, shared=None)
    assert [(row.id, row.ok) for row in report.rows] == [("one", False), ("a.A1", True)]
    assert "expected a free connection" in report.rows[0].figure
    assert (report.ok, report.left_out, list(report.seconds)) == (False, ("three",), ["one", "two"])
    assert heard[0] == "one: first"
    assert heard[-1] == "  ok     a.A1 what: 1 (asked: 1)"
