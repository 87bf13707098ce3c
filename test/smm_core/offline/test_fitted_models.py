"""Fitted models on disk: what is loaded back is what was saved, without running any code."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from smm_core.generators import Generators
from smm_core.offline.fitted_models import FILE, ModelsError, load_models
from smm_core.offline.model_fit import fit_models

OBS = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("model", ["histogram", "vae", "flow", "gaussian_mixture"])
@pytest.mark.parametrize("skills", [1, 2])
def test_what_is_loaded_is_what_was_saved(make_samples, tmp_path, model, skills):
    models = fit_models(make_samples(300, skills, model).copy()).models
    models.save(tmp_path / FILE)
    for path in (tmp_path, tmp_path / FILE):
        loaded = load_models(path)
        for skill in range(skills):
            found, expected = (one.log_prob(OBS, skill) for one in (loaded, models))
            assert torch.equal(found, expected)
            drawn = [one.sample(20, skill, Generators([3])) for one in (loaded, models)]
            assert torch.equal(*drawn)
        assert torch.equal(loaded.skill_shares, models.skill_shares)
        assert loaded.config == models.config
        if skills > 1:
            state = models.space.select(OBS).unsqueeze(0)
            posteriors = [one.discriminator.log_posterior(state) for one in (loaded, models)]
            assert torch.equal(*posteriors)


def test_linear_coordinates_keep_the_scale_they_were_learnt_with(make_samples, tmp_path):
    settings = {"state": {"linear": [0]}, "target": {"name": "reward"}}
    models = fit_models(make_samples(300, model="flow", **settings).copy()).models
    models.save(tmp_path / FILE)
    assert torch.equal(load_models(tmp_path).log_prob(OBS), models.log_prob(OBS))


def test_a_file_that_is_none_is_named(make_samples, tmp_path):
    with pytest.raises(ModelsError, match=r"models\.safetensors holds no fitted models"):
        load_models(tmp_path)
    path = tmp_path / FILE
    path.write_bytes(b"no models")
    with pytest.raises(ModelsError, match="holds no fitted models that can be read"):
        load_models(path)
    fit_models(make_samples(100).copy()).models.save(path)
    with safe_open(path, "pt") as file:
        numbers = json.loads(file.metadata()["numbers"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    rest = {name: t for name, t in tensors.items() if name != "density/counts"}
    save_file(rest, path, metadata={"numbers": json.dumps(numbers)})
    with pytest.raises(ModelsError, match="counts"):
        load_models(path)
    save_file(tensors, path, metadata={"numbers": json.dumps(numbers | {"format": 9})})
    with pytest.raises(ModelsError, match="format 9, this program reads 1"):
        load_models(path)
