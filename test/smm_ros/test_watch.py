import dataclasses
import io

from rich.console import Console

from smm_ros.conversions import status_to_msg
from smm_ros.interfaces import TRAINING_STATUS, TRAINING_STATUS_QOS
from smm_ros.msg import TrainingStatus
from smm_ros.records import HandProgress, StatusRecord
from smm_ros.watch import (
    LINE_PERIOD,
    LineView,
    LiveView,
    StatusListener,
    main,
    summary,
    table,
)

STATUS = StatusRecord(
    stamp_ns=0, steps=120, updates=100, total_steps=1000, steps_per_second=99.5,
    updates_per_second=98.4, policy_version=7, replay_size=120, replay_capacity=500,
    hands=(HandProgress("/left", 60, 92, 1), HandProgress("/right", 60, 92, 2)),
    metrics={"loss": 0.5, "entropy_s_given_z": 1.25}, checkpoint="", done=False,
)  # fmt: skip


def test_summary_tells_progress_rates_gaps_and_entropies():
    text = summary(STATUS)
    for part in ("120 of 1000", "99.5 steps/s", "98.4 updates/s", "policy 7", "gaps 3", "1.250"):
        assert part in text


def test_table_tells_each_hand_and_every_metric():
    console = Console(file=io.StringIO(), width=120)
    console.print(table(STATUS))
    text = console.file.getvalue()
    for part in ("/left", "/right", "60 / 2", "loss", "0.5", "entropy_s_given_z", "120 of 500"):
        assert part in text


def test_plain_view_writes_now_and_then_and_at_the_end():
    lines, now = [], [0.0]
    view = LineView(lines.append, clock=lambda: now[0])
    view.show_line("hand", "hello")
    for tick in range(101):
        now[0] = tick * LINE_PERIOD / 50
        view.show_status(STATUS if tick > 60 else None)
    assert lines == ["[hand] hello", "waiting for the trainer", summary(STATUS)]
    done = dataclasses.replace(STATUS, steps=1000, done=True)
    for _ in range(5):
        view.show_status(done)
    assert lines[3:] == [summary(done)]


def test_live_view_keeps_lines_of_nodes_as_they_are():
    console = Console(file=io.StringIO(), width=100, force_terminal=True)
    view = LiveView(console)
    view.show_status(STATUS)
    view.show_line("hand", "[red]not markup[/red]")
    view.close()
    text = console.file.getvalue()
    assert "[hand] [red]not markup[/red]" in text
    assert "120/1000" in text


def test_listener_hears_the_status_of_its_namespace(ros):
    publisher = ros.node.create_publisher(TrainingStatus, TRAINING_STATUS, TRAINING_STATUS_QOS)
    listener = StatusListener(ros.node.get_namespace())
    publisher.publish(status_to_msg(STATUS))
    assert ros.wait_for(listener.poll) == STATUS
    listener.close()


def test_watching_ends_when_the_trainer_is_done(ros, capsys):
    publisher = ros.node.create_publisher(TrainingStatus, TRAINING_STATUS, TRAINING_STATUS_QOS)
    done = dataclasses.replace(STATUS, done=True)
    publisher.publish(status_to_msg(done))
    assert main(["--plain"]) == 0
    assert capsys.readouterr().out.splitlines() == [summary(done)]
