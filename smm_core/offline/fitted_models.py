"""A density and a discriminator fitted to recorded states: used, saved and loaded back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from smm_core.config import from_mapping, to_mapping
from smm_core.densities.density import Density, make_density
from smm_core.generators import Generators
from smm_core.networks import skill_onehot
from smm_core.objectives.discriminator import Discriminator
from smm_core.offline.fit_config import FitConfig
from smm_core.state_space import StateSpace
from smm_core.transitions import Layout

FORMAT = 1
FILE = "models.safetensors"


class ModelsError(RuntimeError):
    """Saved models that are missing, damaged, or of another version."""


@dataclass(frozen=True)
class FittedModels:
    """q_z(s), with several skills d(z|s) and p(z), and the settings that they were fitted by."""

    config: FitConfig
    obs_size: int
    num_skills: int
    density: Density
    discriminator: Discriminator | None
    skill_shares: Tensor
    """p(z), (num_skills,): the share of each skill among the training states."""

    @property
    def space(self) -> StateSpace:
        """Which entries of an observation the models see."""
        return StateSpace(self.config.state, self.obs_size)

    def log_prob(self, obs: Tensor, skill: int = 0) -> Tensor:
        """Return log q_z(s) of observations (N, obs_size), (N,) nats; a bound where it is one.

        The noise in a bound is drawn from the settings' seed: the same at each call.
        """
        state = self.space.select(obs).unsqueeze(0)
        generators = Generators([self.config.seed])
        return self.density.log_prob(state, self.onehot(skill, len(obs)), generators)[0]

    def sample(self, count: int, skill: int, generators: Generators) -> Tensor:
        """Draw states of a skill, (count, size), angles in rad."""
        return self.density.sample(self.onehot(skill, count), generators)[0]

    def onehot(self, skill: int, count: int) -> Tensor:
        """Return one skill as the density takes it, (1, count, skill_size)."""
        layout = Layout(self.obs_size, 0, self.num_skills)
        return skill_onehot(torch.full((1, count), skill), layout)

    def save(self, path: Path) -> None:
        """Write one safetensors file with the settings in its metadata; raises OSError."""
        tensors = {f"density/{name}": t for name, t in self.density.state_dict().items()}
        if self.discriminator is not None:
            found = self.discriminator.state_dict()
            tensors |= {f"discriminator/{name}": t for name, t in found.items()}
        tensors["skill_shares"] = self.skill_shares
        numbers = {
            "format": FORMAT,
            "obs_size": self.obs_size,
            "num_skills": self.num_skills,
            "config": to_mapping(self.config),
        }
        contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
        try:
            save_file(contiguous, path, metadata={"numbers": json.dumps(numbers)})
        except SafetensorError as error:
            raise OSError(f"can not write {path}: {error}") from error


def load_models(path: Path) -> FittedModels:
    """Load what `save` wrote, from the file or the folder of a fit.

    Raises ModelsError naming what is wrong with it.
    """
    file = path / FILE if path.is_dir() else path
    try:
        with safe_open(file, "pt") as opened:
            numbers = dict(json.loads((opened.metadata() or {})["numbers"]))
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        if numbers.get("format") == FORMAT:
            return _restored(tensors, numbers)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelsError(f"{file} holds no fitted models that can be read: {error}") from error
    raise ModelsError(f"{file} has format {numbers.get('format')}, this program reads {FORMAT}")


def _restored(tensors: dict[str, Tensor], numbers: dict[str, Any]) -> FittedModels:
    config = from_mapping(FitConfig, numbers["config"])
    obs_size, skills = int(numbers["obs_size"]), int(numbers["num_skills"])
    space, generators = StateSpace(config.state, obs_size), Generators([config.seed])
    skill_size = Layout(obs_size, 0, skills).skill_size
    density = make_density(generators, space, skill_size, config.density)
    density.load_state_dict(_group(tensors, "density"))
    discriminator = None
    if skills > 1:
        discriminator = Discriminator(generators, space, skills, config.discriminator)
        discriminator.load_state_dict(_group(tensors, "discriminator"))
    shares = tensors["skill_shares"]
    return FittedModels(config, obs_size, skills, density, discriminator, shares)


def _group(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    prefix = f"{name}/"
    return {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}
