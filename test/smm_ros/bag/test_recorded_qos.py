"""A publisher that plays a bag suits whoever the recorded publishers suited."""

import itertools

import pytest
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
)

from smm_ros.bag.mcap_file import BagError, Topic
from smm_ros.bag.recorded_qos import DEPTH, publisher_qos
from smm_ros.bag.topics import dump_yaml, installed_topic

RELIABILITIES = (ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT)
DURABILITIES = (DurabilityPolicy.TRANSIENT_LOCAL, DurabilityPolicy.VOLATILE)


def topic(*profiles):
    return Topic("/x", "std_msgs/msg/Empty", "", "", dump_yaml(list(profiles)))


def profile(reliability, durability, depth=7):
    return {
        "history": "keep_last",
        "depth": depth,
        "reliability": reliability.name.lower(),
        "durability": durability.name.lower(),
        "deadline": {"sec": 9223372036, "nsec": 854775807},
    }


@pytest.mark.parametrize("reliability", RELIABILITIES)
@pytest.mark.parametrize("durability", DURABILITIES)
def test_one_profile_is_offered_as_it_is(reliability, durability):
    written = installed_topic(
        "/x", "std_msgs/msg/Empty", 7, reliability.name.lower(), durability.name.lower()
    )
    qos = publisher_qos(written)
    assert (qos.reliability, qos.durability, qos.depth) == (reliability, durability, 7)
    assert qos.history is HistoryPolicy.KEEP_LAST


def test_policies_by_number_as_before_version_9_are_understood():
    qos = publisher_qos(topic({"history": 2, "depth": 0, "reliability": 2, "durability": 1}))
    assert qos.history is HistoryPolicy.KEEP_ALL
    assert qos.reliability is ReliabilityPolicy.BEST_EFFORT
    assert qos.durability is DurabilityPolicy.TRANSIENT_LOCAL


@pytest.mark.parametrize("word", ["unknown", "system_default", "from_the_future"])
def test_what_a_recorder_could_not_know_is_ros_s_default(word):
    names = ("history", "reliability", "durability", "liveliness")
    qos = publisher_qos(topic(dict.fromkeys(names, word) | {"depth": 0}))
    assert (qos.history, qos.depth) == (HistoryPolicy.KEEP_LAST, DEPTH)
    assert qos.reliability is ReliabilityPolicy.RELIABLE
    assert qos.durability is DurabilityPolicy.VOLATILE
    assert publisher_qos(topic()).depth == DEPTH


def test_of_several_publishers_every_one_s_subscribers_are_suited():
    kinds = list(itertools.product(RELIABILITIES, DURABILITIES))
    for pair in itertools.product(kinds, repeat=2):
        offered = publisher_qos(topic(*(profile(*kind) for kind in pair)))
        for reliability, durability in pair:
            asked = QoSProfile(depth=1, reliability=reliability, durability=durability)
            assert qos_check_compatible(offered, asked)[0] is not QoSCompatibility.ERROR
    deep = publisher_qos(topic(profile(*kinds[0], depth=3), profile(*kinds[0], depth=30)))
    assert deep.depth == 30
    apart = publisher_qos(topic(profile(*kinds[0], depth=3)), topic(profile(*kinds[3], depth=30)))
    assert apart == deep


def test_times_are_kept_and_no_limit_stays_none():
    qos = publisher_qos(
        topic(
            {"deadline": {"sec": 0, "nsec": 300}, "lifespan": {"sec": 2, "nsec": 0}},
            {
                "deadline": {"sec": 1, "nsec": 0},
                "lifespan": {"sec": 2147483647, "nsec": 4294967295},
            },
        )  # fmt: skip
    )
    assert qos.deadline.nanoseconds == 300
    for none in (qos.lifespan, qos.liveliness_lease_duration):
        assert none.nanoseconds == 2**63 - 1


@pytest.mark.parametrize("text", ["[", "3", "- keep_last"])
def test_a_text_that_tells_no_quality_is_an_error(text):
    with pytest.raises(BagError, match="quality of service of /x"):
        publisher_qos(Topic("/x", "std_msgs/msg/Empty", "", "", text))
