import pytest

from smm_ros.bench.comparison import Setting, optional_module
from smm_ros.bench.turns import compare


def test_a_slow_turn_of_the_machine_changes_no_ratio(machine, lines):
    """In the second turn all are ten times slower; the median of ratios stays what it is."""
    outcome = compare(
        machine.comparison(
            machine.contestant(lines("a"), [100.0, 10.0, 100.0]),
            machine.contestant(lines("b"), [200.0, 20.0, 210.0]),
        ),
        Setting(),
    )
    assert outcome.state == "done"
    _, b = outcome.lines
    assert b.ratios == pytest.approx([2.0, 2.0, 2.1])
    assert b.ratio == pytest.approx(2.0)
    assert b.median == pytest.approx(200.0)


def test_the_ratio_is_that_within_turns_and_not_that_of_the_medians(machine, lines):
    outcome = compare(
        machine.comparison(
            machine.contestant(lines("a"), [1.0, 10.0, 100.0]),
            machine.contestant(lines("b"), [3.0, 20.0, 150.0]),
        ),
        Setting(),
    )
    assert outcome.lines[1].ratios == pytest.approx([3.0, 2.0, 1.5])
    assert outcome.lines[1].ratio == pytest.approx(2.0)


def test_contestants_take_turns_there_and_back(machine, lines):
    contestants = [machine.contestant(lines(name), [1.0] * 3) for name in "abc"]
    compare(machine.comparison(*contestants), Setting())
    assert "".join(machine.calls) == "abccbaabc"


def test_figures_belong_to_their_lines_in_whichever_order_the_turn_went(machine, lines):
    outcome = compare(
        machine.comparison(
            machine.contestant((lines("a"), lines("a too")), [1.0, 2.0]),
            machine.contestant(lines("b"), [10.0, 20.0]),
            turns=2,
        ),
        Setting(),
    )
    assert {m.line.name: m.figures for m in outcome.lines} == {
        "a": [1.0, 2.0],
        "a too": [1.0, 2.0],
        "b": [10.0, 20.0],
    }


@pytest.mark.parametrize(("quick", "turns", "count"), [(0, None, 3), (1, None, 1), (1, 2, 2)])
def test_the_number_of_turns_is_the_comparisons_unless_given(machine, lines, quick, turns, count):
    contestant = machine.contestant(lines("a"), [1.0] * 3)
    outcome = compare(machine.comparison(contestant), Setting(quick=bool(quick)), turns)
    assert outcome.turns == count


def test_what_is_lacking_is_told_and_nothing_is_measured(machine):
    outcome = compare(machine.lacking("no wind tunnel"), Setting())
    assert outcome.state == "skipped: no wind tunnel"
    assert not outcome.lines
    assert not outcome.failed


def test_a_package_that_is_not_there_is_a_reason_to_skip(machine, lines):
    reason = "the tunnel is not installed"

    def measure():
        optional_module("wind_tunnel_that_nobody_has", reason)

    comparison = machine.comparison()
    object.__setattr__(comparison, "prepare", lambda setting: measure())
    assert compare(comparison, Setting()).state.startswith(f"skipped: {reason}")


def test_ctrl_c_keeps_the_whole_turns_and_closes_what_was_made(machine, lines):
    outcome = compare(
        machine.comparison(
            machine.contestant(lines("a"), [1.0, 1.0, 1.0]),
            machine.contestant(lines("b"), [2.0], error=KeyboardInterrupt()),
        ),
        Setting(),
    )
    assert outcome.state == "interrupted"
    assert [measured.figures for measured in outcome.lines] == [[1.0], [2.0]]
    assert machine.closed == 1


def test_an_error_is_told_and_keeps_the_turns_before_it(machine, lines, capsys):
    contestant = machine.contestant(lines("a"), [1.0], error=RuntimeError("belt torn"))
    outcome = compare(machine.comparison(contestant), Setting())
    assert outcome.failed
    assert "belt torn" in outcome.state
    assert outcome.lines[0].figures == [1.0]
    assert "Traceback" in capsys.readouterr().err


def test_a_base_that_is_no_line_is_an_error(machine, lines, capsys):
    contestant = machine.contestant(lines("b"), [1.0])
    outcome = compare(machine.comparison(contestant), Setting())
    assert outcome.failed
    assert "base 'a'" in outcome.state


def test_each_turn_is_shown(machine, lines):
    states = []
    contestant = machine.contestant(lines("a"), [1.0, 1.0])
    comparison = machine.comparison(contestant, turns=2)
    compare(comparison, Setting(), show=lambda outcome: states.append(outcome.state))
    assert states == ["preparing", "turn 1 of 2", "turn 2 of 2", "done"]
