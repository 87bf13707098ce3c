"""A recorder's services while its disk refuses: an answer says what is, not what was asked."""

import pytest
from std_srvs.srv import Trigger

from smm_ros import recorder_services
from smm_ros.bag.mcap_file import BagError
from smm_ros.bag.topics import installed_topic
from smm_ros.bag.writer import BagWriter
from smm_ros.recorder_services import RecorderServices
from smm_ros.recording import Recording
from smm_ros.srv import MarkRecording
from smm_ros.tape import Tape

NAME = "test_client"
MARKS = installed_topic("/dclaw/marks", "rcl_interfaces/msg/Log")


class Served:
    """The services over a bag that can not be opened until it is unlocked."""

    def __init__(self, ros, folder, is_recording):
        self.ros, self.folder, self.locked = ros, folder, True
        tape = Tape(folder, self._open, is_recording=is_recording)
        self.recording = Recording(tape, 0.02, 10_000)
        ros.wait_for(lambda: self.recording.status().fault or not is_recording)
        RecorderServices(ros.node, self.recording, is_recording)

    def _open(self):
        if self.locked:
            raise BagError("the door is locked")
        return BagWriter(self.folder, [MARKS])

    def ask(self, service):
        """Return whether it was a success, and what was said."""
        answer = self.ros.call(Trigger, f"{NAME}/{service}")
        return answer.success, answer.message

    def ask_and_go_on(self, service):
        """Return what the answer will be in, with the request on its way."""
        client = self.ros.node.create_client(Trigger, f"{NAME}/{service}")
        self.ros.wait_for(client.service_is_ready)
        self.ros.spin(0.2)  # until the server knows this side too
        answer = client.call_async(Trigger.Request())
        self.ros.spin(0.2)
        return answer


@pytest.fixture
def serve(ros, tmp_path):
    made = []

    def serve(is_recording=True):
        made.append(Served(ros, tmp_path / "run", is_recording))
        return made[-1]

    yield serve
    for served in made:
        served.locked = False
        served.recording.close()


@pytest.fixture
def answer_after(monkeypatch):
    """Return a function that sets how long an answer may take, s."""
    return lambda seconds: monkeypatch.setattr(recorder_services, "ANSWER_TIME", seconds)


NOT_YET = (False, "not yet: the door is locked; it is done as soon as the disk lets it")


def test_a_stop_is_no_success_before_it_is_done_however_often_it_is_asked_for(serve, answer_after):
    answer_after(0.1)
    served = serve()
    assert [served.ask("stop") for _ in range(3)] == [NOT_YET] * 3
    served.locked = False
    served.ros.wait_for(lambda: not served.recording.status().tape.is_recording)
    assert served.ask("stop") == (True, "it is stopped already")


def test_a_start_is_no_success_before_it_is_done_however_often_it_is_asked_for(
    serve, answer_after
):
    answer_after(0.1)
    served = serve(is_recording=False)
    assert [served.ask("start") for _ in range(3)] == [NOT_YET] * 3
    served.locked = False
    served.ros.wait_for(lambda: served.recording.status().tape.file)
    served.ros.wait_for(lambda: not served.recording.status().fault)
    assert served.ask("start") == (True, "it records already")


def test_one_that_is_asked_for_again_answers_when_the_first_is_done(serve, answer_after):
    served = serve()
    answer_after(0.1)
    assert served.ask("stop") == NOT_YET
    answer_after(60.0)
    again = served.ask_and_go_on("stop")
    assert not again.done()
    served.locked = False
    assert "is ended" in served.ros.result(again).message


def test_one_that_records_from_the_start_says_what_keeps_it_from_writing(serve):
    served = serve()
    assert served.ask("start") == (False, "it records already, but the door is locked")


def test_a_remark_is_taken_while_another_answer_waits_for_the_disk(serve, answer_after):
    served = serve()
    answer_after(60.0)
    waiting = served.ask_and_go_on("split")
    remark = MarkRecording.Request(label="valve slipped")
    assert served.ros.call(MarkRecording, f"{NAME}/mark", remark).success
    assert not waiting.done()
