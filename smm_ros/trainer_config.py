"""The settings of the trainer node."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from smm_core.config import Config, ConfigError, option
from smm_core.learner import LearnerConfig
from smm_ros.bag.joint_messages import JointTopics
from smm_ros.bag.transition_source import AUTO, SOURCES


@dataclass(frozen=True)
class TrainerConfig(Config):
    """Settings of the trainer node."""

    hands: tuple[str, ...] = option(("/dclaw",), "Namespaces of the hands that feed the trainer.")
    run_dir: str = option("", "Folder for checkpoints; empty: none are written.")
    bag: str = option("", "Bag that a restarted trainer reads what it missed from; empty: none.")
    bags: tuple[str, ...] = option(
        (),
        "Bags of earlier runs, folders or files: their transitions fill the replay and the density"
        " before the first step of a run that has no checkpoint.",
    )
    bags_from: str = option(
        AUTO,
        "What is taken of these bags: recorded transitions, or such as are assembled from joint"
        " states and joint commands; auto: the first where a bag has any.",
        choices=SOURCES,
    )
    bags_topics: JointTopics = option(
        JointTopics(), "Where these bags have joint states and joint commands."
    )
    bag_updates: int = option(
        0, "Updates of density and discriminator on these bags before the first step.", low=0
    )
    checkpoint: str = option(
        "",
        "Checkpoint to begin with; one of another run is for a run_dir that has none yet. Empty: "
        "the newest of run_dir.",
    )
    checkpoint_period: int = option(2000, "Transitions between checkpoints.", low=1)
    total_steps: int = option(0, "Transitions to learn from before the end; 0: no end.", low=0)
    seed: int = option(0, "Seed of initial weights and of learning.", low=0)
    threads: int = option(1, "Threads of torch.", low=1)
    device: str = option("cpu", "Where it learns: cpu, cuda or cuda:1.")
    window: int = option(
        32, "Transitions that a hand may be ahead of the learner.", low=1, high=100_000
    )
    bag_delay: float = option(
        1.0, "Time the recorder is given to flush before its bag is read, s.", low=0.0
    )
    learner: LearnerConfig = option(LearnerConfig(), "What is learnt.")

    def __post_init__(self) -> None:
        """Check that there is a hand to learn from."""
        super().__post_init__()
        if not self.hand_names:
            raise ConfigError(f"TrainerConfig.hands is {self.hands!r}, expected at least one hand")
        if self.bags and self.checkpoint:
            raise ConfigError(
                f"TrainerConfig.bags is {self.bags!r} and checkpoint {self.checkpoint!r}; a "
                "checkpoint has what was seen before it, give one of them"
            )
        own = Path(self.bag).resolve()
        if self.bag and any(own in (path, path.parent) for path in self._bag_paths):
            raise ConfigError(
                f"TrainerConfig.bags has {self.bag!r}, the bag of this run, which is read anyway;"
                " leave it out, or begin a new run"
            )

    @property
    def _bag_paths(self) -> list[Path]:
        return [Path(bag).resolve() for bag in self.bags]

    @property
    def hand_names(self) -> tuple[str, ...]:
        """The hands as messages name them: without slashes around them, each once."""
        names = (hand.strip("/") for hand in self.hands)
        return tuple(dict.fromkeys(name for name in names if name))
