"""What a trainer begins with: the same as one that saw it all, in whatever way it comes."""

import dataclasses

import numpy as np
import pytest
import torch

from smm_core import checkpoint
from smm_core.config import from_mapping
from smm_core.learner import Learner, LearnerConfig
from smm_core.transitions import Layout
from smm_ros.bag.joint_messages import JointTopics
from smm_ros.bag.mcap_file import BagError
from smm_ros.restoring import Intake, Restoring
from smm_ros.trainer_config import TrainerConfig

LAYOUT = Layout(4, 2)
SMALL = from_mapping(
    LearnerConfig,
    {
        "batch_size": 8,
        "replay_capacity": 100,
        "random_steps": 10,
        "sac": {"hidden": [8]},
        "density": {"vae": {"hidden": [8], "code_size": 2}},
        "state": {"circular": [2, 3]},
        "target": {"name": "uniform_circle"},
    },
)
HISTOGRAM = dataclasses.replace(
    SMALL, density=dataclasses.replace(SMALL.density, model="histogram")
)


@pytest.fixture
def records(make_record):
    """Return a function that makes transitions of these numbers; each run has others."""

    def make(*sequences, run=0):
        found = (make_record(sequence + 1000 * run, 4, 2) for sequence in sequences)
        return [dataclasses.replace(r, sequence=r.sequence - 1000 * run) for r in found]

    return make


class Begun:
    """A learner that was restored, and what was told meanwhile."""

    def __init__(self, learner=SMALL, is_stopped=lambda patience: False, **settings):
        config = TrainerConfig(bag_delay=0.0, learner=learner, **settings)
        self.learner, self.intake = Learner(LAYOUT, learner, [0]), Intake(config.hand_names)
        self.told = []
        restoring = Restoring(config, self.learner, self.intake, is_stopped, self.told.append)
        self.restored = restoring.run()


def fed(learner, *transitions):
    for record in transitions:
        learner.observe(record.as_transition())
    return learner


def assert_saw_the_same(one, other):
    for part in ("replay", "objective"):
        first, second = (
            learner.replay.state() if part == "replay" else learner.objective.state_dict()
            for learner in (one, other)
        )
        assert [name for name in first if not torch.equal(first[name], second[name])] == []


@pytest.mark.parametrize("settings", [SMALL, HISTOGRAM], ids=["vae", "histogram"])
def test_bags_fill_replay_and_density_as_their_transitions_would(records, bag_of, settings):
    first, second = records(*range(30)), records(*range(90), run=1)  # the replay holds 100
    bags = (str(bag_of("first", first)), str(bag_of("second", second)))
    begun = Begun(settings, bags=bags)
    assert_saw_the_same(begun.learner, fed(Learner(LAYOUT, settings, [0]), *first, *second))
    assert (begun.learner.steps, begun.learner.prefilled) == (0, 120)
    assert begun.intake.next == {"dclaw": 0}
    assert begun.restored.origin.startswith(f"120 transitions of {', '.join(bags)}")
    assert any("first" in text for text in begun.told)


def test_one_started_anew_has_what_one_has_that_was_not_killed(records, bag_of):
    earlier, own = records(*range(40), run=1), records(*range(25))
    bags, bag = (str(bag_of("earlier", earlier)),), str(bag_of("own", own))
    settings = {"bags": bags, "bag_updates": 20}
    whole = Begun(**settings)
    for record in own:
        assert whole.intake.accept(record)
        whole.learner.observe(record.as_transition())
    anew = Begun(**settings, bag=bag)
    assert_saw_the_same(anew.learner, whole.learner)
    assert anew.learner.steps == whole.learner.steps == 25
    assert anew.intake.state() == whole.intake.state()
    assert torch.equal(anew.learner.generators.state(), whole.learner.generators.state())


@pytest.mark.parametrize("saved_after", [0, 15, 25, 32, 40])
def test_a_hand_whose_numbers_begin_again_is_gone_on_from_in_either_run(
    records, bag_of, tmp_path, saved_after
):
    own = records(*range(25)) + records(*range(20), run=1)
    whole = Begun()
    for count, record in enumerate(own, 1):
        assert whole.intake.accept(record)
        whole.learner.observe(record.as_transition())
        if count == saved_after:
            checkpoint.save(tmp_path / "checkpoints", whole.learner, whole.intake.state())
    anew = Begun(run_dir=str(tmp_path), bag=str(bag_of("own", own)))
    assert_saw_the_same(anew.learner, whole.learner)
    assert anew.intake.state() == whole.intake.state()
    assert anew.intake.state()["runs"] == {"dclaw": 1}
    # What a publisher keeps for late readers is not taken twice, and what follows is.
    assert [anew.intake.accept(record) for record in own[-5:]] == [False] * 5
    assert [anew.intake.accept(record) for record in records(20, 21, run=1)] == [True] * 2


def test_what_was_not_read_of_a_bag_or_passed_over_is_told(records, bag_of):
    bag = bag_of("torn", records(*range(20_000), *range(5)))
    (file,) = bag.glob("*.mcap")
    with file.open("r+b") as opened:
        opened.truncate(file.stat().st_size * 3 // 4)
    whole = bag_of("whole", records(*range(30), *range(5)))
    begun = Begun(bags=(str(bag), str(whole)))
    unread, passed = begun.restored.notes
    assert unread.startswith(f"not read: {file}: ")
    assert "5 transitions of dclaw came more than once" in passed


def test_a_bag_that_is_named_twice_is_refused(records, bag_of):
    bag = bag_of("bag", records(*range(5)))
    with pytest.raises(BagError, match="name each file once"):
        Begun(bags=(str(bag), str(next(bag.glob("*.mcap")))))


def test_bags_of_joint_topics_are_read_from_the_topics_that_are_named(bag_of, records):
    """Told by what is looked for where there is nothing."""
    topics = JointTopics("/hand/states", "/hand/target")
    with pytest.raises(BagError, match="on /hand/states"):
        Begun(bags=(str(bag_of("bag", records(0))),), bags_from="joint_states", bags_topics=topics)


def test_a_checkpoint_has_its_bags_already(records, bag_of, tmp_path):
    """They are not read again, so that they may be gone by then."""
    earlier, own = records(*range(40), run=1), records(*range(25))
    bags, bag = (str(bag_of("earlier", earlier)),), str(bag_of("own", own))
    first = Begun(bags=bags)
    for record in own[:15]:
        first.intake.accept(record)
        first.learner.observe(record.as_transition())
    path = checkpoint.save(tmp_path / "checkpoints", first.learner, first.intake.state())
    second = Begun(run_dir=str(tmp_path), bags=("gone",), bag=bag)
    assert second.restored.origin == f"{path} and 10 transitions of the bag"
    assert_saw_the_same(second.learner, fed(first.learner, *own[15:]))
    assert (second.learner.steps, second.learner.prefilled) == (25, 40)


def test_updates_on_the_bags_fit_the_density_and_leave_the_policy_alone(records, bag_of):
    bags = (str(bag_of("bag", records(*range(40)))),)
    plain, warm = Begun(bags=bags), Begun(bags=bags, bag_updates=30)
    for name, tensor in plain.learner.sac.state_dict().items():
        assert torch.equal(tensor, warm.learner.sac.state_dict()[name])
    pairs = zip(
        plain.learner.objective.density.parameters(),
        warm.learner.objective.density.parameters(),
        strict=True,
    )
    assert all((a != b).any() for a, b in pairs)
    assert warm.learner.updates == 0
    assert any("fitting" in text for text in warm.told)


def test_all_bags_are_looked_for_before_the_first_is_read(records, bag_of, tmp_path):
    bags = (str(bag_of("bag", records(0, 1))), str(tmp_path / "absent"))
    told = []
    config = TrainerConfig(learner=SMALL, bags=bags)
    learner = Learner(LAYOUT, SMALL, [0])
    with pytest.raises(BagError, match="absent"):
        Restoring(config, learner, Intake(("dclaw",)), lambda s: False, told.append).run()
    assert (learner.prefilled, told) == (0, [])


@pytest.mark.parametrize("change", [{"skill": 1}, {"log_p_shaping": np.nan}])
def test_a_transition_that_can_not_be_learnt_from_is_named(records, bag_of, change):
    found = records(*range(5))
    found[3] = dataclasses.replace(found[3], **change)
    with pytest.raises(BagError, match="odd: transition 3 of dclaw"):
        Begun(bags=(str(bag_of("odd", found)),))


def test_stopped_while_it_reads_it_takes_no_more(records, bag_of):
    bags, bag = (str(bag_of("a", records(*range(40)))),), str(bag_of("b", records(0)))
    left = iter([False] * 7)
    begun = Begun(bags=bags, bag=bag, is_stopped=lambda patience: next(left, True))
    assert (begun.learner.prefilled, begun.learner.steps) == (7, 0)


def test_what_was_learnt_off_line_is_begun_with(records, bag_of, tmp_path):
    learner = Learner(LAYOUT, SMALL, [0])
    for record in records(*range(40), run=1):
        learner.prefill(record.as_transition())
    for _ in range(3):
        learner.update_off_line()
        learner.snapshot_off_line()
    path = checkpoint.save(tmp_path / "other", learner)
    begun = Begun(checkpoint=str(path), run_dir=str(tmp_path))
    assert list(begun.restored.trained_steps) == [1, 2, 3]
    assert (begun.learner.steps, begun.learner.updates_owed) == (0, 0)
    assert str(path) in begun.restored.origin
    fed(begun.learner, *records(*range(12)))
    assert begun.learner.updates_owed == 2
    assert begun.learner.snapshot().version == 4
