"""Decoding: by the definition in the bag, all of the bytes or an error."""

import pytest
from rclpy.serialization import serialize_message
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from smm_ros.bag.definitions import decoder
from smm_ros.bag.mcap_file import BagError
from smm_ros.bag.topics import installed_topic

PATH = JointTrajectory(
    joint_names=["first", "second"],
    points=[JointTrajectoryPoint(positions=[float(i), 2.0]) for i in range(5)],
)


def topic(kind):
    return installed_topic("/path", kind)


def test_what_a_python_program_serialised_is_read_with_what_it_leaves_behind():
    decode = decoder(topic("trajectory_msgs/msg/JointTrajectory"))
    data = serialize_message(PATH)
    for text in (data, data + bytes(4)):
        assert [list(point.positions) for point in decode(text).points] == [
            [i, 2.0] for i in range(5)
        ]


def test_a_message_of_another_type_is_an_error_and_not_its_beginning():
    data = serialize_message(PATH)
    with pytest.raises(BagError, match="bytes are left behind 4 that were read"):
        decoder(topic("std_msgs/msg/Int32"))(data)


@pytest.mark.parametrize("head", [b"\x01\x00", b"\x00\x03\x00\x00", b"(\xb5/\xfd"])
def test_another_encoding_is_named(head):
    with pytest.raises(BagError, match=f"encoding {head[:2].hex()}, expected plain CDR"):
        decoder(topic("std_msgs/msg/Int32"))(head + bytes(8))
