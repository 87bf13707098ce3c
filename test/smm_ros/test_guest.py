"""A command's node beside the others."""

from std_msgs.msg import Bool

from smm_ros.guest import Guest


def test_it_tells_who_else_publishes_a_topic(ros):
    with Guest("guest", "/dclaw") as guest:
        guest.create_publisher(Bool, "said", 1)
        assert guest.other_publishers("said") == []
        ros.node.create_publisher(Bool, "said", 1)
        ros.wait_for(
            lambda: guest.other_publishers("said") == ["/dclaw/test_client"], what="the other"
        )
        assert guest.other_publishers("/dclaw/said") == ["/dclaw/test_client"]
        assert guest.other_publishers("/said") == []


def test_with_its_end_it_is_gone_from_the_graph(ros):
    with Guest("guest") as guest:
        name = guest.get_name()
        ros.wait_for(lambda: name in ros.node.get_node_names(), what="the guest")
    assert not guest.context.ok()
    ros.wait_for(lambda: name not in ros.node.get_node_names(), what="its end")
