"""The trainer's settings: what goes together, and what would count twice."""

import pytest

from smm_core.config import ConfigError
from smm_ros.trainer_config import TrainerConfig


def test_hands_are_named_once_and_without_slashes():
    assert TrainerConfig(hands=("/lab/left/", "right", "right")).hand_names == (
        "lab/left",
        "right",
    )


def test_it_needs_a_hand():
    with pytest.raises(ConfigError, match="at least one hand"):
        TrainerConfig(hands=("/",))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"bags": ("a",), "checkpoint": "b"}, "give one of them"),
        ({"bags": ("a", "runs/../bag"), "bag": "bag"}, "the bag of this run"),
        ({"bags": ("bag/bag_0.mcap",), "bag": "bag"}, "the bag of this run"),
    ],
)
def test_settings_by_which_something_would_count_twice_are_refused(settings, words):
    with pytest.raises(ConfigError, match=words):
        TrainerConfig(**settings)
