import io

import pytest
from rich.console import Console

from smm_ros.bench.comparison import Aim
from smm_ros.bench.outcome import Outcome
from smm_ros.bench.table import as_markdown, as_table, figure


@pytest.fixture
def outcome(lines):
    """Three turns in which b is twice as fast as a, which is the base of both."""
    found = Outcome("fake", "one against another", state="done")
    own = [
        lines("a"),
        lines("b", aim=Aim(1.5), known="3.0"),
        lines("c", base="", aim=Aim(9.0, True, False)),
    ]
    for a in (100.0, 10.0, 100.0):
        found.add_turn(own, [a, 2 * a, 8.0])
    return found


def rows(markdown):
    cells = [line.strip("| ").split(" | ") for line in markdown.splitlines() if line[:1] == "|"]
    return {row[0].strip(): [cell.strip() for cell in row[1:]] for row in cells}


def test_markdown_has_medians_ratios_aims_and_what_others_report(outcome):
    found = rows(as_markdown(outcome))
    assert found["a"][0] == "100"
    assert found["a"][2] == "base"
    assert found["b"][0] == "200"
    assert found["b"][2:] == ["2.00", "at least 1.5: reached", "3.0"]
    assert "at most 9 steps/s: reached" in found["c"]


def test_an_aim_of_a_ratio_is_missed_by_less(lines):
    outcome = Outcome("fake", "")
    outcome.add_turn([lines("a"), lines("b", aim=Aim(2.5))], [1.0, 2.0])
    assert "at least 2.5: missed" in as_markdown(outcome)


def test_columns_that_nothing_stands_in_are_left_out(lines):
    outcome = Outcome("fake", "")
    outcome.add_turn([lines("a", base="")], [1.0])
    assert "ratio" not in as_markdown(outcome)
    assert "aim" not in as_markdown(outcome)


def test_what_was_skipped_says_so():
    assert "skipped: no wind" in as_markdown(Outcome("fake", "", state="skipped: no wind"))


def test_the_terminal_shows_the_same_figures(outcome):
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(as_table(outcome))
    text = console.export_text()
    for part in ("one against another", "done", "200", "2.00", "reached", "3.0"):
        assert part in text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (0.0123, "0.0123"), (1.234, "1.23"), (99.94, "99.9"), (1234.5, "1,234")],
)
def test_figures_have_three_digits_that_count(number, text):
    assert figure(number) == text
