from pathlib import Path

import pytest

from smm_ros.ros_environment import missing_variables

RANGE = "ROS_AUTOMATIC_DISCOVERY_RANGE"


def test_nothing_set_means_this_machine_only_without_shared_memory():
    variables = missing_variables({})
    assert variables[RANGE] == "SYSTEM_DEFAULT"
    assert "127.0.0.1" in Path(variables["FASTDDS_DEFAULT_PROFILES_FILE"]).read_text()


def test_another_middleware_is_kept_on_this_machine_by_ros():
    variables = missing_variables({"RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp"})
    assert variables[RANGE] == "LOCALHOST"
    assert "FASTDDS_DEFAULT_PROFILES_FILE" not in variables


@pytest.mark.parametrize(
    "name", [RANGE, "ROS_LOCALHOST_ONLY", "FASTDDS_DEFAULT_PROFILES_FILE", "ROS_DISCOVERY_SERVER"]
)
def test_a_user_who_has_decided_about_discovery_is_left_alone(name):
    variables = missing_variables({name: "1", "PYTHONUNBUFFERED": "x"})
    assert variables == {}
