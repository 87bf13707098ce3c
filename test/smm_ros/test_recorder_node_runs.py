"""The recorder beside a publisher that is started anew: what is new is told from what was kept."""

from smm_ros.bag.reading import read_messages
from smm_ros.conversions import transition_to_msg
from smm_ros.interfaces import TRANSITIONS, TRANSITIONS_QOS
from smm_ros.msg import Transition


def test_numbers_that_begin_again_are_recorded_as_another_run_and_told_loudly(
    ros, reports, start_node, make_record, tmp_path
):
    folder = str(tmp_path / "run")

    def start():
        recorder = start_node("recorder", bag_dir=folder)
        ros.wait_for(publisher.get_subscription_count, what="the recorder")
        return recorder

    def send(*numbers):
        for number in numbers:
            publisher.publish(transition_to_msg(make_record(number)))

    def report_of(count):
        return reports.wait_for("recorder", lambda r: r.values.get("dclaw/transitions") == count)

    publisher = ros.node.create_publisher(Transition, TRANSITIONS, TRANSITIONS_QOS)
    recorder = start()
    send(0, 1, 2, 3, 4)
    report_of("5")
    ros.node.destroy_publisher(publisher)
    publisher = ros.node.create_publisher(Transition, TRANSITIONS, TRANSITIONS_QOS)
    ros.wait_for(publisher.get_subscription_count, what="the recorder")
    send(0, 1, 2)
    report = report_of("8")
    assert (report.level, "began again" in report.message) == (1, True)
    assert recorder.terminate() == 0
    ros.wait_for(lambda: not publisher.get_subscription_count(), what="the recorder's end")
    recorder = start()
    send(3)
    assert report_of("1").values["dclaw/transitions recorded before"] == "3"
    assert recorder.terminate() == 0
    numbers = [m.decode().sequence for m in read_messages(folder, ["/dclaw/transitions"])]
    assert numbers == [0, 1, 2, 3, 4, 0, 1, 2, 3]
