"""Which transitions a tape brings into the bag, and how those that are not there are counted."""

from functools import partial

import pytest
from rclpy.serialization import serialize_message

from smm_ros.bag.mcap_file import BagError
from smm_ros.bag.metadata import read_metadata
from smm_ros.bag.reading import newest_transitions, read_messages
from smm_ros.bag.topics import installed_topic
from smm_ros.bag.writer import BagWriter
from smm_ros.conversions import transition_to_msg
from smm_ros.tape import FIND_TRIES, Drops, Message, Tape
from smm_ros.transition_wire import peek_transition

TRANSITIONS = installed_topic("/dclaw/transitions", "smm_ros/msg/Transition")


class Bag:
    """A bag of one hand's transitions, one tape after the other."""

    def __init__(self, folder, make_record):
        self.folder, self._make_record = folder, make_record

    def tape(self, read_newest=None):
        return Tape(
            self.folder,
            partial(BagWriter, self.folder, [TRANSITIONS]),
            read_newest or partial(newest_transitions, self.folder, ["dclaw"]),
            [TRANSITIONS.name],
        )

    def message(self, number, since=0):
        """Return a transition that is published at a time in ns."""
        data = serialize_message(transition_to_msg(self._make_record(number)))
        return Message(TRANSITIONS.name, since + number, since + number, data)

    def record(self, *numbers, since=0):
        """Take transitions with a tape of their own; return their counts."""
        tape = self.tape()
        tape.open()
        for number in numbers:
            tape.take(self.message(number, since))
        tape.close()
        return tape.status().hands["dclaw"]

    @property
    def numbers(self):
        """The numbers as they lie in the bag."""
        return [peek_transition(m.data)[1] for m in read_messages(self.folder)]

    @property
    def losses(self):
        return read_metadata(self.folder).custom_data


@pytest.fixture
def bag(tmp_path, make_record):
    return Bag(tmp_path / "run", make_record)


def test_one_that_goes_on_with_a_bag_adds_to_what_was_counted_before(bag):
    bag.record(0, 2)
    assert bag.record(2, 5)["repeated"] == 1
    assert bag.numbers == [0, 2, 5]
    assert bag.losses["dclaw/gaps"] == "3"


def test_a_run_whose_numbers_begin_again_is_recorded_and_what_is_sent_again_of_it_is_not(bag):
    assert bag.record(*range(5))["restarts"] == 0
    assert bag.record(0, 1, 3, since=100)["restarts"] == 1
    counts = bag.record(0, 1, 3, 4, since=100)
    assert (counts["restarts"], counts["repeated"]) == (0, 3)
    assert bag.numbers == [0, 1, 2, 3, 4, 0, 1, 3, 4]
    assert bag.losses["dclaw/gaps"] == "1"


def test_what_is_no_transition_is_left_out_and_counted_and_the_rest_is_recorded(bag):
    tape = bag.tape()
    tape.open()
    tape.take(bag.message(0))
    whole = bag.message(1)
    for data in (b"", whole.data[:4], b"\0\0" + whole.data[2:], whole.data[:-9]):
        tape.take(whole._replace(data=data))
    tape.take(whole)
    drops = Drops()
    drops.add(whole._replace(data=b""), is_transition=True)
    tape.miss(drops)
    tape.close()
    assert tape.status().unreadable == 4
    assert bag.numbers == [0, 1]
    told = {"unreadable": "4", "dropped": "1", "dclaw/dropped": "0", "dclaw/gaps": "0"}
    assert bag.losses.items() >= told.items()


def test_a_bag_that_can_not_be_read_for_a_moment_does_not_get_transitions_twice(bag):
    bag.record(*range(5))
    refusals = iter([OSError(5, "Input/output error"), BagError("can not read it")])

    def read_newest():
        for refusal in refusals:
            raise refusal
        return newest_transitions(bag.folder, ["dclaw"])

    tape = bag.tape(read_newest)
    for _ in range(2):
        with pytest.raises(BagError, match="can not tell which transitions are recorded"):
            tape.open()
    tape.open()
    for number in (3, 4, 5):
        tape.take(bag.message(number))
    tape.close()
    assert bag.numbers == list(range(6))
    assert tape.status().notes == ()


def test_the_word_that_transitions_may_be_there_twice_outlasts_a_stop_and_a_start(bag):
    bag.record(0)
    bag.folder.joinpath("run_5.mcap").write_bytes(b"no bag")

    def read_newest():
        raise BagError("run_5.mcap is damaged")

    tape = bag.tape(read_newest)
    for _ in range(FIND_TRIES - 1):
        with pytest.raises(BagError):
            tape.open()
    for act in (tape.open, tape.stop, tape.start):
        act()
        left_out, doubt = tape.status().notes
        assert "run_5.mcap" in left_out
        assert doubt == "may record transitions twice: run_5.mcap is damaged"
    tape.close()
