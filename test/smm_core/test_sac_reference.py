"""Soft actor-critic against answers found without it, in double precision.

The twin-Q form: Stable-Baselines3's SAC on the same weights, batch and noise. The form with a
value network: the equations of Haarnoja et al. (2018a) in NumPy, gradients by finite differences.
"""

import copy
import types
from functools import partial

import gymnasium
import numpy as np
import pytest
import stable_baselines3
import torch
from gymnasium.spaces import Box
from stable_baselines3.common.buffers import ReplayBufferSamples
from stable_baselines3.common.logger import Logger
from torch import nn

from smm_core.generators import Generators
from smm_core.mlp import ACTIVATIONS
from smm_core.networks import LOG_STD_RANGE
from smm_core.replay import Batch
from smm_core.sac import SAC, SACConfig
from smm_core.transitions import Layout

OBS, ACTIONS, SIZE = 3, 2, 32


class DoubleGenerators(Generators):
    """Streams whose normal numbers do not round what is computed from them to float32."""

    def normal(self, *shape):
        return super().normal(*shape).double()


def agent_and_noise(**settings):
    generators = DoubleGenerators((0,))
    return SAC(generators, Layout(OBS, ACTIONS), SACConfig(**settings)).double(), generators


@pytest.fixture
def rows():
    draw = DoubleGenerators((50,))
    return Batch(
        obs=draw.normal(SIZE, OBS),
        action=draw.uniform(SIZE, ACTIONS, low=-1.0).double(),
        next_obs=draw.normal(SIZE, OBS),
        reward=draw.normal(SIZE),
        skill=torch.zeros(1, SIZE, dtype=torch.int64),
        terminated=(draw.normal(SIZE) > 0.5).double(),
    )


def update(agent, generators, rows):
    return agent.update(rows, rows.reward, torch.zeros(1, SIZE, 0).double(), generators)


@pytest.fixture
def published_sac(monkeypatch):
    """Return a function that builds Stable-Baselines3's SAC with an agent's weights."""
    # It would round observations to float32.
    path = "stable_baselines3.common.policies.preprocess_obs"
    monkeypatch.setattr(path, lambda obs, *_args, **_kwargs: obs)
    return build_published


class Blank(gymnasium.Env):
    """Spaces and nothing else: batches come from the test."""

    observation_space = Box(-np.inf, np.inf, (OBS,))
    action_space = Box(-1.0, 1.0, (ACTIONS,))


class Bounded(nn.Module):
    """The one difference by design: log deviations are bent into the range, not cut off at it."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        low, high = LOG_STD_RANGE
        return low + 0.5 * (high - low) * (torch.tanh(self.layer(x)) + 1.0)


def published_weights(agent):
    """Return the first run's weights under the names of the published policy's state."""
    layers = {"actor.latent_pi.0": agent.actor.net[0], "actor.latent_pi.2": agent.actor.net[2]}
    found = {}
    for name, layer in layers.items():
        found |= {f"{name}.weight": layer.weight[0].T, f"{name}.bias": layer.bias[0, 0]}
    for head, part in (("mu", slice(0, ACTIONS)), ("log_std.layer", slice(ACTIONS, None))):
        last = agent.actor.net[4]
        found[f"actor.{head}.weight"] = last.weight[0].T[part]
        found[f"actor.{head}.bias"] = last.bias[0, 0, part]
    for ours, theirs in ((agent.critic, "critic"), (agent.target_critic, "critic_target")):
        for twin in range(2):
            for index in (0, 2, 4):
                name = f"{theirs}.qf{twin}.{index}"
                found[f"{name}.weight"] = ours.net[index].weight[twin].T
                found[f"{name}.bias"] = ours.net[index].bias[twin, 0]
    return found


def build_published(agent):
    """Return Stable-Baselines3's SAC with an agent's settings and weights."""
    config = agent.config
    with torch.random.fork_rng():
        model = stable_baselines3.SAC(
            "MlpPolicy",
            Blank(),
            learning_rate=config.learning_rate,
            gamma=config.discount,
            tau=config.tau,
            buffer_size=1,
            ent_coef=f"auto_{config.initial_temperature}",
            target_entropy=agent.target_entropy,
            policy_kwargs={"net_arch": list(config.hidden)},
            device="cpu",
        )
    model.set_logger(Logger(None, []))
    for index in (1, 3):
        model.actor.latent_pi[index] = ACTIVATIONS[config.policy_activation]()
    model.actor.log_std = Bounded(model.actor.log_std)
    model.policy.double().load_state_dict(published_weights(agent))
    model.actor.action_dist.epsilon = 0.0  # its guard against log 0, which rounds every log_prob
    model.log_ent_coef.data = agent.log_alpha.data[0].clone()
    return model


def train_published(model, rows, noises, monkeypatch):
    """Make one update on the batch with this noise; return its terms by name."""
    samples = ReplayBufferSamples(
        rows.obs[0], rows.action[0], rows.next_obs[0], rows.terminated[0, :, None],
        rows.reward[0, :, None],
    )  # fmt: skip
    targets = []

    def mse_loss(value, target):
        targets.append(target)
        return nn.functional.mse_loss(value, target)

    def rsample(normal, shape=()):
        return normal.loc + normal.scale * noises.pop(0)

    with monkeypatch.context() as patch:
        patch.setattr(model.replay_buffer, "sample", lambda *_args, **_kwargs: samples)
        patch.setattr("stable_baselines3.sac.sac.F", types.SimpleNamespace(mse_loss=mse_loss))
        patch.setattr(torch.distributions.Normal, "rsample", rsample)
        model.train(gradient_steps=1, batch_size=SIZE)
    assert not noises
    logged = model.logger.name_to_value
    terms = {name: logged[f"train/{name}"] for name in ("critic_loss", "actor_loss")}
    return terms | {
        "temperature_loss": logged["train/ent_coef_loss"],
        "temperature": model.log_ent_coef.item(),
        "critic_target": targets[0].squeeze(-1),
    }


def settings(**changed):
    return {"hidden": (16, 16), "initial_temperature": 0.3, "discount": 0.9, "tau": 0.05} | changed


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_the_log_prob_of_squashed_actions_is_the_published_one(
    rows, published_sac, monkeypatch, activation
):
    agent, generators = agent_and_noise(**settings(policy_activation=activation))
    model, noise = published_sac(agent), generators.normal(SIZE, ACTIONS)
    with monkeypatch.context() as patch:
        patch.setattr(
            torch.distributions.Normal, "rsample", lambda n, _=(): n.loc + n.scale * noise[0]
        )
        expected = model.actor.action_log_prob(rows.obs[0])
    found = agent.actor.sample(rows.obs, noise)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours[0], theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_every_term_and_step_is_the_published_one(rows, published_sac, monkeypatch, activation):
    agent, generators = agent_and_noise(**settings(policy_activation=activation))
    model = published_sac(agent)
    for _ in range(5):
        ahead = copy.deepcopy(generators)
        target = agent.critic_target(rows.next_obs, rows.reward, rows.terminated, ahead)
        noises = [ahead.normal(SIZE, ACTIONS)[0]]  # the published one draws for obs first
        noises.append(copy.deepcopy(generators).normal(SIZE, ACTIONS)[0])
        expected = train_published(model, rows, noises, monkeypatch)
        found = update(agent, generators, rows) | {"critic_target": target[0]}
        found["temperature"] = agent.log_alpha
        for name, theirs in expected.items():
            ours = found[name].detach().squeeze()
            torch.testing.assert_close(ours, torch.as_tensor(theirs).double(), rtol=1e-7, atol=0)
        stepped, state = published_weights(agent), model.policy.state_dict()
        assert set(stepped) == set(state)
        for name, weights in stepped.items():
            torch.testing.assert_close(weights.detach(), state[name], rtol=0, atol=1e-9)


def forward(weights, x, activation):
    """Return the outputs of a network given as [weight, bias, ...], with one hidden layer."""
    first, first_bias, last, last_bias = weights
    return activation(x @ first + first_bias) @ last + last_bias


def relu(x):
    return np.maximum(x, 0.0)


def policy(weights, obs, noise):
    """Return actions, their log_prob by the density's own formula, mean and log deviation."""
    mean, raw = np.split(forward(weights, obs, np.tanh), 2, axis=-1)
    low, high = LOG_STD_RANGE
    log_std = low + (high - low) * (np.tanh(raw) + 1.0) / 2.0
    action = np.tanh(mean + np.exp(log_std) * noise)
    density = np.exp(-(noise**2) / 2.0) / np.sqrt(2.0 * np.pi) / np.exp(log_std)
    return action, np.log(density / (1.0 - action**2)).sum(-1), mean, log_std


def gradient(loss, weights):
    """Return the central differences of a loss over a list of arrays."""
    found = [np.zeros_like(array) for array in weights]
    for array, slopes in zip(weights, found, strict=True):
        for index in np.ndindex(array.shape):
            kept, losses = array[index], []
            for shift in (1e-6, -1e-6):
                array[index] = kept + shift
                losses.append(loss(weights))
            array[index] = kept
            slopes[index] = (losses[0] - losses[1]) / 2e-6
    return found


def arrays(net):
    """Return copies of the first run's weights as arrays."""
    return [parameter.detach()[0].numpy().copy() for parameter in net.parameters()]


def test_q_and_v_follows_the_equations_with_a_value_network(rows):
    alpha, scale, mean_weight, log_std_weight = 0.7, 3.0, 0.1, 0.2
    agent, generators = agent_and_noise(
        variant="q_and_v",
        hidden=(5,),
        policy_activation="tanh",
        learn_temperature=False,
        initial_temperature=alpha,
        reward_scale=scale,
        discount=0.9,
        tau=0.25,
        mean_regularization=mean_weight,
        log_std_regularization=log_std_weight,
    )
    update(agent, generators, rows)  # so that V and its target differ
    obs, action, next_obs, reward, ended = (
        getattr(rows, name)[0].numpy()
        for name in ("obs", "action", "next_obs", "reward", "terminated")
    )
    actor, q, v, target_v = (
        arrays(net) for net in (agent.actor, agent.critic, agent.value, agent.target_value)
    )
    noise = copy.deepcopy(generators).normal(SIZE, ACTIONS)[0].numpy()
    slopes = {}
    for net in (agent.critic, agent.value, agent.actor):
        for parameter in net.parameters():
            parameter.register_hook(partial(slopes.__setitem__, parameter))
    found = update(agent, generators, rows)
    moved_q = arrays(agent.critic)

    def q_of(weights, actions):
        return forward(weights, np.concatenate((obs, actions), -1), relu)[:, 0]

    drawn, log_prob, _, _ = policy(actor, obs, noise)
    soft_value = q_of(moved_q, drawn) - alpha * log_prob
    target_q = scale * reward + 0.9 * (1.0 - ended) * forward(target_v, next_obs, relu)[:, 0]

    def critic_loss(weights):
        return np.mean((q_of(weights, action) - target_q) ** 2) / 2.0

    def value_loss(weights):
        return np.mean((forward(weights, obs, relu)[:, 0] - soft_value) ** 2) / 2.0

    def actor_loss(weights):
        drawn, log_prob, mean, log_std = policy(weights, obs, noise)
        penalty = mean_weight * np.mean(mean**2) + log_std_weight * np.mean(log_std**2)
        return np.mean(alpha * log_prob - q_of(moved_q, drawn)) + penalty

    for name, net, loss, weights in (
        ("critic_loss", agent.critic, critic_loss, q),
        ("value_loss", agent.value, value_loss, v),
        ("actor_loss", agent.actor, actor_loss, actor),
    ):
        assert found[name].item() == pytest.approx(loss(weights), rel=1e-6)
        for parameter, expected in zip(net.parameters(), gradient(loss, weights), strict=True):
            ours = slopes[parameter][0].numpy()
            np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-7)
    nets = (target_v, arrays(agent.value), arrays(agent.target_value))
    for old, new, now in zip(*nets, strict=True):
        np.testing.assert_allclose(now, 0.75 * old + 0.25 * new, rtol=1e-9)
