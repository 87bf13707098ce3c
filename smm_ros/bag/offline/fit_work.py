"""One fit in a thread of its own: learnt, measured and written while messages go on coming."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smm_core.config import Config, ConfigError, option
from smm_core.offline.fit_config import FitConfig
from smm_core.offline.model_fit import fit_models
from smm_core.offline.state_samples import FitError
from smm_core.run_folder import free_folder
from smm_ros.bag.joint_messages import JointTopics
from smm_ros.bag.new_folder import FolderError, new_folder
from smm_ros.bag.offline.fit_result import losses, summary, write_fit
from smm_ros.bag.offline.fit_stream import FitStream
from smm_ros.bag.transition_source import JOINT_STATES, TRANSITIONS


@dataclass(frozen=True)
class FitterConfig(Config):
    """Settings of the density fitter."""

    hands: tuple[str, ...] = option(("dclaw",), "Namespaces of the hands to learn from.")
    source: str = option(
        TRANSITIONS,
        "What is listened to: transitions, or joint states and commands that they are made of.",
        choices=(TRANSITIONS, JOINT_STATES),
    )
    topics: JointTopics = option(JointTopics(), "Where joint states and commands come from.")
    out: str = option(
        "fit", "Folder of the first fit, which must not be there yet; a number behind it later."
    )
    fit_after: float = option(
        0.0, "Silence after which to fit and end, s of wall time; 0: only when asked.", low=0.0
    )
    fit: FitConfig = option(FitConfig(), "What is fitted, and how.")

    def __post_init__(self) -> None:
        """Check that there is a hand to learn from and a folder to write."""
        super().__post_init__()
        if not self.hand_names:
            raise ConfigError(f"FitterConfig.hands is {self.hands!r}, expected at least one hand")
        if not self.out:
            raise ConfigError("FitterConfig.out is empty, expected a folder")

    @property
    def hand_names(self) -> tuple[str, ...]:
        """The hands as messages name them: without slashes around them, each once."""
        names = (hand.strip("/") for hand in self.hands)
        return tuple(dict.fromkeys(name for name in names if name))


class FitWork(threading.Thread):
    """Fits once; to be asked now and then how far it is."""

    def __init__(self, stream: FitStream, out: Path, origin: Mapping[str, Any]) -> None:
        """Take a stream that nobody else uses from now on."""
        super().__init__(name="fit", daemon=True)
        self.steps = self.total_steps = 0
        self.result = ""
        """The figures and where they are; empty until it is done, or where it failed."""
        self.fault = ""
        """Why it failed."""
        self.error: BaseException | None = None
        """What nobody expected."""
        self._stream, self._out, self._origin = stream, out, origin
        self._stopping = False

    def stop(self) -> None:
        """Give up at the next gradient step; nothing is written then."""
        self._stopping = True

    def run(self) -> None:
        """Fit and write."""
        try:
            self.result = self._fit()
        except (ConfigError, FitError, FolderError, OSError) as error:
            self.fault = str(error)
        except BaseException as error:  # the node raises it in its own thread
            self.error = error

    def _fit(self) -> str:
        samples = self._stream.samples()
        fit = fit_models(samples, self._note)
        out, told = free_folder(self._out), losses(self._stream)
        with new_folder(out) as folder:
            notes = [*told, *fit.figures.notes]
            write_fit(folder, fit, samples, self._stream, self._origin, notes)
        return "; ".join([summary(fit), *told, str(out)])

    def _note(self, steps: int, total: int) -> None:
        self.steps, self.total_steps = steps, total
        if self._stopping:
            raise FitError(f"the fit was stopped after {steps} of {total} steps")
