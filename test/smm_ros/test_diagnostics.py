from diagnostic_msgs.msg import DiagnosticArray

from smm_ros.diagnostics import Diagnostics
from smm_ros.interfaces import DIAGNOSTICS, DIAGNOSTICS_QOS
from smm_ros.reports import Level


def test_report_goes_out_by_itself_and_on_request_under_the_nodes_name(ros):
    heard = ros.collect(DiagnosticArray, DIAGNOSTICS, DIAGNOSTICS_QOS)
    diagnostics = Diagnostics(ros.node, lambda: (Level.ERROR, "no cable", {"tries": 3}), "hand 7")
    ros.wait_for(lambda: heard)
    seen = len(heard)
    diagnostics.publish()
    ros.wait_for(lambda: len(heard) > seen, timeout=0.5)
    (status,) = heard[-1].status
    assert (status.name, status.hardware_id) == ("dclaw: test_client", "hand 7")
    assert (status.level, status.message) == (b"\x02", "no cable")
    assert [(v.key, v.value) for v in status.values] == [("tries", "3")]
