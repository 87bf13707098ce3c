"""Names of the graph's topics, services and actions, and the quality of service of each.

Names without a leading slash are relative to the namespace of the hand (or, for the trainer, of
the trainer); names with one are the same for the whole graph.
"""

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

HAND_NODE = "hand"
POLICY_SERVER_NODE = "policy_server"
TRAINER_NODE = "trainer"
RECORDER_NODE = "recorder"
DENSITY_FITTER_NODE = "density_fitter"

JOINT_STATES = "joint_states"
JOINT_COMMAND = "joint_command"
RESET_HAND = "reset_hand"
STOP = "stop"
CLEAR_STOP = "clear_stop"
STOPPED = "stopped"
TRANSITIONS = "transitions"
EPISODES = "episodes"
POLICY = "policy"
TRAINING_STATUS = "training_status"
MARKS = "marks"
FIT = "~/fit"
DIAGNOSTICS = "/diagnostics"
CLOCK = "/clock"


def _profile(
    depth: int,
    reliability: ReliabilityPolicy = ReliabilityPolicy.RELIABLE,
    durability: DurabilityPolicy = DurabilityPolicy.VOLATILE,
) -> QoSProfile:
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=reliability,
        durability=durability,
    )


def policy_qos(capacity: int) -> QoSProfile:
    """Return the quality of the policies where so many are kept in the history.

    A server that starts late gets all of them at once, and none may push out another.
    """
    return _profile(max(20, 2 * capacity), durability=DurabilityPolicy.TRANSIENT_LOCAL)


# In lock step every state is answered, so none may be dropped; ten ride out a slow reader.
JOINT_STATES_QOS = _profile(10)

# One command is under way at a time; the hand refuses one that answers an older state.
JOINT_COMMAND_QOS = _profile(10)

# Minutes of data at 10 Hz, kept by the policy server: a trainer or recorder that is found late, or
# is away for a restart, gets them all the same. What it had before it knows by its number.
TRANSITIONS_QOS = _profile(5000, durability=DurabilityPolicy.TRANSIENT_LOCAL)

# Whether the hand is stopped; known at once to who comes late.
STOPPED_QOS = _profile(1, durability=DurabilityPolicy.TRANSIENT_LOCAL)

EPISODES_QOS = _profile(100)
POLICY_QOS = policy_qos(capacity=1)

# The newest allowance counts; one that starts late may go on at once.
TRAINING_STATUS_QOS = _profile(1, durability=DurabilityPolicy.TRANSIENT_LOCAL)

# What a person has marked in the recording; one who looks later finds it too.
MARKS_QOS = _profile(100, durability=DurabilityPolicy.TRANSIENT_LOCAL)

DIAGNOSTICS_QOS = _profile(10)

# What rclpy's own time source subscribes with.
CLOCK_QOS = _profile(1, reliability=ReliabilityPolicy.BEST_EFFORT)
