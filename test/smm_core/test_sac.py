"""Soft actor-critic: each loss on the weights it means, each run as if it were alone."""

import copy
import math

import pytest
import torch

from smm_core.generators import Generators
from smm_core.mlp import MLP
from smm_core.replay import Batch
from smm_core.sac import SAC, VARIANTS, SACConfig
from smm_core.transitions import Layout

pytestmark = pytest.mark.usefixtures("passes")

LAYOUT = Layout(obs_size=3, action_size=2)
SMALL, NORMED = {"hidden": (16, 16)}, {"layer_norm": True}
PAPER = {
    "variant": "q_and_v",
    "policy_activation": "tanh",
    "learn_temperature": False,
    "mean_regularization": 1e-3,
    "log_std_regularization": 1e-3,
}


def sac(seeds=(0,), **settings):
    generators = Generators(seeds)
    return SAC(generators, LAYOUT, SACConfig(**SMALL | settings)), generators


def batch(runs=1, size=32, terminated=0.0):
    draw = Generators(range(50, 50 + runs))
    return Batch(
        obs=draw.normal(size, LAYOUT.obs_size),
        action=draw.uniform(size, LAYOUT.action_size, low=-1.0),
        next_obs=draw.normal(size, LAYOUT.obs_size),
        reward=torch.full((runs, size), math.nan),  # the learner's reward replaces it
        skill=torch.zeros(runs, size, dtype=torch.int64),
        terminated=torch.full((runs, size), terminated),
    )


def one_state(count, terminated):
    """Yield batches of fresh uniform actions in a state that leads to itself or ends."""
    draw, blank = Generators((9,)), torch.zeros(1, 64, 3)
    for _ in range(count):
        fields = {"obs": blank, "next_obs": blank, "action": draw.uniform(64, 2, low=-1.0)}
        yield Batch(**vars(batch(size=64, terminated=terminated)) | fields)


def update(agent, generators, rows, reward=None):
    reward = rows.obs.sum(-1) if reward is None else reward
    return agent.update(rows, reward, torch.zeros(*reward.shape, 0), generators)


def weights(module):
    return [p.detach().clone() for p in module.parameters()]


def same(before, module):
    return all(torch.equal(a, b) for a, b in zip(before, module.parameters(), strict=True))


def freeze(optimizer):
    for group in optimizer.param_groups:
        group["lr"] = 0.0


@pytest.mark.parametrize("terminated", [0.0, 1.0])
def test_the_critics_learn_the_soft_value_and_nothing_beyond_the_end(terminated):
    agent, generators = sac(discount=0.9, initial_temperature=0.3)
    rows, reward = batch(terminated=terminated), torch.linspace(-1, 1, 32).view(1, -1)
    with torch.no_grad():
        stream = copy.deepcopy(generators)
        next_action, log_prob = agent.actor.sample(rows.next_obs, stream.normal(32, 2))
        next_value = agent.target_critic(rows.next_obs, next_action).min(1).values
        future = next_value - 0.3 * log_prob
        target = reward + 0.9 * (1 - terminated) * future
        errors = agent.critic(rows.obs, rows.action) - target.unsqueeze(1)
    loss = update(agent, generators, rows, reward)["critic_loss"]
    torch.testing.assert_close(loss, 0.5 * errors.square().mean(-1).sum(1))


def test_the_actor_trusts_the_smaller_critic_and_is_paid_for_being_random():
    agent, generators = sac(initial_temperature=0.3)
    freeze(agent.optimizers["critic"])
    rows, stream = batch(), copy.deepcopy(generators)
    stream.normal(32, 2)  # what the critics' target draws
    with torch.no_grad():
        action, log_prob = agent.actor.sample(rows.obs, stream.normal(32, 2))
        expected = 0.3 * log_prob - agent.critic(rows.obs, action).min(1).values
    loss = update(agent, generators, rows)["actor_loss"]
    torch.testing.assert_close(loss, expected.mean(-1))


@pytest.mark.parametrize(
    ("variant", "moved"),
    [(variant, name) for variant in VARIANTS for name in ("actor", "critic", "temperature")]
    + [("q_and_v", "value")],
)
def test_a_step_moves_its_own_weights_alone(variant, moved):
    agent, generators = sac(variant=variant, tau=0.0)
    for name, optimizer in agent.optimizers.items():
        if name != moved:
            freeze(optimizer)
    before = {name: tensor.clone() for name, tensor in agent.state_dict().items()}
    update(agent, generators, batch())
    changed = {
        name.split(".")[0].replace("log_alpha", "temperature")
        for name, tensor in agent.state_dict().items()
        if not torch.equal(tensor, before[name])
    }
    assert changed == {moved}


def noted_gradients(optimizer):
    """Return a list to which the gradients of each step are added from now on."""
    found, move = [], optimizer.move

    def noted(grads):
        found.append([grad.clone() for grad in grads])
        move(grads)

    optimizer.move = noted
    return found


def test_the_critics_gradient_is_that_of_their_own_loss_and_does_not_pile_up():
    agent, generators = sac(tau=0.0)
    freeze(agent.optimizers["actor"])
    freeze(agent.optimizers["critic"])
    rows, reward = batch(terminated=1.0), torch.ones(1, 32)
    errors = agent.critic(rows.obs, rows.action) - 1.0
    loss = 0.5 * errors.square().mean(-1).sum()
    expected = torch.autograd.grad(loss, agent.critic.parameters())
    found = noted_gradients(agent.optimizers["critic"])
    for _ in range(3):
        update(agent, generators, rows, reward)
    assert len(found) == 3
    for gradients in found:
        torch.testing.assert_close(gradients, list(expected))


def test_the_actors_gradient_does_not_pile_up():
    agent, generators = sac(tau=0.0, temperature_learning_rate=0.0)
    freeze(agent.optimizers["actor"])
    freeze(agent.optimizers["critic"])
    found = noted_gradients(agent.optimizers["actor"])
    for _ in range(2):
        update(agent, copy.deepcopy(generators), batch())
    first, second = found
    torch.testing.assert_close(first, second)


def test_the_target_moves_by_tau_and_by_nothing_else():
    agent, generators = sac(tau=0.25)
    assert same(weights(agent.critic), agent.target_critic)
    before = weights(agent.target_critic)
    update(agent, generators, batch())
    for old, new, now in zip(
        before, agent.critic.parameters(), agent.target_critic.parameters(), strict=True
    ):
        torch.testing.assert_close(now, 0.75 * old + 0.25 * new)
        assert not now.requires_grad


@pytest.mark.parametrize(("wanted", "rises"), [(2.0, True), (-20.0, False)])
def test_the_temperature_rises_where_the_policy_is_less_random_than_wanted(wanted, rises):
    agent, generators = sac(entropy_per_action=wanted, temperature_learning_rate=0.01)
    entropy = [update(agent, generators, batch())["policy_entropy"] for _ in range(5)][-1]
    assert (entropy < 2 * wanted).all() == rises
    assert (agent.log_alpha.exp() > 0.1).all() == rises


def test_a_fixed_temperature_stays():
    agent, generators = sac(learn_temperature=False, initial_temperature=0.3)
    assert set(agent.optimizers) == {"actor", "critic"}
    metrics = [update(agent, generators, batch()) for _ in range(3)][-1]
    torch.testing.assert_close(metrics["temperature"], torch.tensor([0.3]))


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_reward_scale_multiplies_the_whole_reward(variant):
    scaled, generators = sac(variant=variant, reward_scale=5.0)
    plain, same_generators = sac(variant=variant)
    rows = batch()
    found = update(scaled, generators, rows)["critic_loss"]
    expected = update(plain, same_generators, rows, 5 * rows.obs.sum(-1))["critic_loss"]
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    "settings", [{}, PAPER, {"conservative": 2.0}, NORMED, PAPER | NORMED], ids=str
)
def test_runs_together_are_the_runs_alone(settings):
    seeds = (3, 8)
    together, generators = sac(seeds, **settings)
    rows = batch(runs=2)
    metrics = [update(together, generators, rows) for _ in range(5)][-1]
    for run, seed in enumerate(seeds):
        alone, stream = sac((seed,), **settings)
        own = Batch(**{name: values[run, None] for name, values in vars(rows).items()})
        found = [update(alone, stream, own) for _ in range(5)][-1]
        for name, values in found.items():
            torch.testing.assert_close(metrics[name][run], values[0], rtol=1e-4, atol=1e-5)
        for many, one in zip(together.actor.parameters(), alone.actor.parameters(), strict=True):
            torch.testing.assert_close(many[run], one[0], rtol=1e-3, atol=1e-5)


def test_the_skill_is_seen_by_actor_and_critics():
    layout = Layout(3, 2, num_skills=2)
    generators = Generators((0,))
    agent = SAC(generators, layout, SACConfig(**SMALL))
    rows = batch()
    losses = []
    for skill in (0, 1):
        onehot = torch.eye(2)[skill].expand(1, 32, 2)
        stream, copied = copy.deepcopy(generators), copy.deepcopy(agent)
        losses.append(copied.update(rows, rows.obs.sum(-1), onehot, stream))
    assert not torch.equal(losses[0]["critic_loss"], losses[1]["critic_loss"])
    assert not torch.equal(losses[0]["actor_loss"], losses[1]["actor_loss"])


@pytest.mark.parametrize("variant", VARIANTS)
def test_it_finds_the_best_action_of_a_bandit(variant):
    best = torch.tensor((0.5, -0.3))
    agent, generators = sac(
        hidden=(64, 64), learning_rate=3e-3, initial_temperature=0.01, variant=variant
    )
    blank = torch.zeros(1, 1, 3)
    for rows in one_state(600, terminated=1.0):
        update(agent, generators, rows, -4 * (rows.action - best).square().sum(-1))
    chosen = torch.tanh(agent.actor(blank)[0])
    assert (chosen - best).abs().max() < 0.25


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_critic_is_normalised_and_the_policy_is_not(variant):
    agent, _ = sac(variant=variant, layer_norm=True)
    nets = [(name, net) for name, net in agent.named_modules() if isinstance(net, MLP)]
    assert [name for name, net in nets if not net.layer_norm] == ["actor.net"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_endless_reward_is_worth_its_discounted_sum(variant):
    agent, generators = sac(
        variant=variant,
        discount=0.5,
        tau=0.1,
        learning_rate=3e-3,
        learn_temperature=False,
        initial_temperature=1e-6,
    )
    for rows in one_state(300, terminated=0.0):
        update(agent, generators, rows, torch.ones(1, 64))
    with torch.no_grad():
        values = agent.critic(rows.obs, rows.action)
    assert (values - 2.0).abs().max() < 0.2


class Sloped(torch.nn.Module):
    """A critic of one member whose Q is a multiple of the first action, whatever the state."""

    members = 1

    def __init__(self, slopes):
        super().__init__()
        self.slope = torch.nn.Parameter(torch.tensor(slopes).view(-1, 1, 1))

    def forward(self, x, action):
        return self.slope * action[:, None, :, 0]


def conservative_agent(slopes, count=500, **settings):
    generators = Generators(range(len(slopes)))
    config = SACConfig(**SMALL, conservative_actions=count, **settings)
    agent = SAC(generators, LAYOUT, config)
    agent.critic = Sloped(slopes)
    return agent, generators


@pytest.mark.parametrize("log_std", [None, -1.0, 1.0])
def test_the_integral_over_actions_is_the_known_one_whatever_the_policy(log_std):
    slopes = [-3.0, 0.5, 4.0]
    agent, generators = conservative_agent(slopes, 20_000)
    if log_std is not None:
        last = agent.actor.net[-1]
        with torch.no_grad():  # a policy of this width before tanh, far from the middle
            last.weight.zero_()
            last.bias[..., :2], last.bias[..., 2:] = 1.0, log_std
    found = agent.log_integral(torch.zeros(3, 1, LAYOUT.obs_size), generators)
    # The integral of exp(k a) over [-1, 1], and 2 for the action that Q does not see.
    expected = [math.log(2 * math.sinh(k) / k * 2) for k in slopes]
    assert found.shape == (3, 1, 1)
    torch.testing.assert_close(found.flatten(), torch.tensor(expected), rtol=0, atol=0.03)


def test_without_weight_nothing_of_the_conservative_term_is_done():
    plain, generators = sac()
    other, same_generators = sac(conservative_actions=3)
    other.log_integral = None  # it would be called
    for _ in range(3):
        found = update(other, same_generators, batch())
        assert found.keys() == update(plain, generators, batch()).keys()
    assert torch.equal(generators.state(), same_generators.state())
    for name, tensor in plain.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name])


def test_the_conservative_loss_is_the_plain_one_and_its_weighted_gap():
    agent, generators = sac(conservative=0.7, conservative_actions=5)
    rows, reward = batch(terminated=1.0), torch.linspace(-1, 1, 32).view(1, -1)
    stream = copy.deepcopy(generators)
    stream.normal(32, 2)  # what the critics' target draws
    with torch.no_grad():
        values = agent.critic(rows.obs, rows.action)
        errors = values - reward.unsqueeze(1)
        gap = (agent.log_integral(rows.obs, stream) - values).mean(-1)
    metrics = update(agent, generators, rows, reward)
    expected = 0.5 * errors.square().mean(-1).sum(1) + 0.7 * gap.sum(1)
    torch.testing.assert_close(metrics["critic_loss"], expected)
    torch.testing.assert_close(metrics["conservative_gap"], gap.mean(1))


def test_the_conservative_term_raises_the_data_and_lowers_what_they_lack():
    agent, generators = sac(conservative=100.0, learning_rate=1e-3)
    rows = batch(size=64)
    rows.action[..., 0] = 0.5 + 0.5 * rows.action[..., 0]  # the data act in one half alone
    mirrored = rows.action * torch.tensor([-1.0, 1.0])
    for _ in range(100):
        metrics = update(agent, generators, rows, torch.zeros(1, 64))
    with torch.no_grad():
        gain = agent.critic(rows.obs, rows.action) - agent.critic(rows.obs, mirrored)
    assert gain.mean() > 0.5
    assert metrics["conservative_gap"] < math.log(4.0)  # that of a Q that is level


def test_the_policy_gets_no_gradient_from_the_conservative_term():
    agent, generators = sac()
    loss = agent.log_integral(batch().obs, generators).sum()
    weights = [*agent.actor.parameters(), *agent.critic.parameters()]
    found = torch.autograd.grad(loss, weights, allow_unused=True)
    count = len(list(agent.actor.parameters()))
    assert all(gradient is None for gradient in found[:count])
    assert all(gradient is not None for gradient in found[count:])
