"""Environment variables that a graph's processes get where the user has not decided himself."""

from __future__ import annotations

from collections.abc import Mapping

from smm_ros.share import share_path

_RANGE = "ROS_AUTOMATIC_DISCOVERY_RANGE"
_PROFILES = "FASTDDS_DEFAULT_PROFILES_FILE"
_DECIDES_DISCOVERY = (
    _RANGE,
    _PROFILES,
    "FASTRTPS_DEFAULT_PROFILES_FILE",
    "ROS_LOCALHOST_ONLY",
    "ROS_STATIC_PEERS",
    "ROS_DISCOVERY_SERVER",
    "FASTDDS_BUILTIN_TRANSPORTS",
)
_FAST_DDS = ("", "rmw_fastrtps_cpp", "rmw_fastrtps_dynamic_cpp")


def missing_variables(user: Mapping[str, str]) -> dict[str, str]:
    """Return the variables to add to the user's.

    The graph of a hand runs on one machine and is not to be heard on the whole network. With
    Fast DDS it uses no shared memory either: that would outlive a process that is killed.
    """
    # Lines of a node's output appear, and reach its log, as they are printed.
    variables = {"PYTHONUNBUFFERED": "1"}
    if not any(user.get(name) for name in _DECIDES_DISCOVERY):
        if user.get("RMW_IMPLEMENTATION", "") in _FAST_DDS:
            variables[_RANGE] = "SYSTEM_DEFAULT"
            variables[_PROFILES] = str(share_path("config", "fastdds_localhost.xml"))
        else:
            variables[_RANGE] = "LOCALHOST"
    return {name: value for name, value in variables.items() if not user.get(name)}
