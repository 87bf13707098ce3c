"""What is learnt is no longer paid for, what is new still is; actions are read from features."""

import copy

import pytest
import torch

from smm_core.generators import Generators
from smm_core.objectives.prediction_error import ICM, RND, ICMConfig, RNDConfig
from smm_core.replay import Batch
from smm_core.state_space import StateConfig, StateSpace
from smm_core.transitions import Layout

OBS, ACTIONS, BATCH = 3, 2, 128
LAYOUT = Layout(OBS, ACTIONS)
SPACE = StateSpace(StateConfig(), OBS)
ROTATION = torch.tensor([[0.8, -0.5, 0.0], [0.5, 0.8, 0.0], [0.0, 0.1, 0.9]])
PUSH = torch.tensor([[0.4, 0.0, 0.2], [0.0, 0.4, -0.2]])


def transitions(obs, action, next_obs):
    runs, batch = obs.shape[:2]
    zeros = torch.zeros(runs, batch)
    return Batch(obs, action, next_obs, zeros, zeros.long(), zeros)


def linear_system(generators, low=-1.0, high=1.0):
    """Draw transitions s' = s A + a B of actions uniform on [low, high)."""
    obs = generators.normal(BATCH, OBS)
    action = generators.uniform(BATCH, ACTIONS, low=low, high=high)
    return transitions(obs, action, obs @ ROTATION + action @ PUSH)


def sticky_system(generators, low=-1.0, high=1.0):
    """Draw transitions of a system that negative actions do not move."""
    batch = linear_system(generators, low, high)
    return transitions(batch.obs, batch.action, batch.obs + batch.action.relu() @ PUSH * 5)


def icm(runs=(0,), target_weight=1.0, **settings):
    config = ICMConfig(**{"feature_size": 16, "hidden": (32,), **settings})
    return ICM(Generators(runs), LAYOUT, SPACE, target_weight, config)


def rnd(runs=(0,), target_weight=1.0, **settings):
    config = RNDConfig(**{"feature_size": 16, "hidden": (64,), "learning_rate": 1e-3, **settings})
    return RND(Generators(runs), LAYOUT, SPACE, target_weight, config)


def onehot(batch):
    return torch.zeros(*batch.obs.shape[:2], 0)


def fit(objective, batch):
    return objective.fit(batch, batch.next_obs, onehot(batch), Generators(()))


def terms(objective, batch):
    log_target = torch.full(batch.obs.shape[:2], -0.5)
    return objective.terms(batch, batch.next_obs, onehot(batch), log_target, Generators(()))


def train(objective, draw, steps, seed=1):
    generators = Generators((seed,))
    for _ in range(steps):
        batch = draw(generators)
        objective.observe(batch.next_obs, onehot(batch))
        metrics = fit(objective, batch)
    return metrics


def states(seed, centre, count=BATCH):
    """Return transitions into states around a centre, the same for each coordinate."""
    next_obs = centre + 0.3 * Generators((seed,)).normal(count, OBS)
    return transitions(torch.zeros_like(next_obs), torch.zeros(1, count, ACTIONS), next_obs)


@pytest.fixture(scope="module")
def curious():
    """Return an ICM that has learnt the linear system, and its last metrics."""
    learnt = icm()
    return learnt, train(learnt, linear_system, 1500)


def test_the_curiosity_for_a_system_that_is_learnt_falls_to_nearly_nothing(curious):
    batch = linear_system(Generators((2,)))
    spread = curious[0].embedding(batch.next_obs).std(1).norm()
    assert curious[0].bonus(batch).mean() < 0.05 * spread
    assert curious[0].bonus(batch).mean() < 0.2 * icm().bonus(batch).mean()


def test_transitions_against_the_learnt_rule_stay_surprising(curious):
    seen = linear_system(Generators((2,)))
    broken = transitions(seen.obs, seen.action, seen.next_obs.roll(1, 1))
    assert curious[0].bonus(broken).mean() > 10 * curious[0].bonus(seen).mean()


def test_unseen_actions_stay_surprising():
    learnt = icm(runs=(1,))
    train(learnt, lambda generators: sticky_system(generators, high=0.0), 700)
    seen, unseen = sticky_system(Generators((2,)), high=0.0), sticky_system(Generators((2,)), 0.5)
    assert learnt.bonus(unseen).mean() > 4 * learnt.bonus(seen).mean()


def test_the_inverse_model_recovers_the_actions(curious):
    batch = linear_system(Generators((2,)))
    features = curious[0].embedding(batch.obs), curious[0].embedding(batch.next_obs)
    read = curious[0].inverse_model(torch.cat(features, -1))
    unexplained = (read - batch.action).square().mean() / batch.action.square().mean()
    assert unexplained < 0.05
    assert curious[1]["inverse_loss"].item() < 0.05 / 3


@pytest.mark.parametrize(("weight", "idle"), [(0.0, "forward_model"), (1.0, "inverse_model")])
def test_the_forward_weight_shares_the_loss_between_both_models(weight, idle):
    learnt = icm(forward_weight=weight)
    before = copy.deepcopy(learnt.state_dict())
    fit(learnt, linear_system(Generators((1,))))
    moved = {name for name, value in learnt.state_dict().items() if (value != before[name]).any()}
    assert moved == {name for name in before if not name.startswith(idle)}


def first_gradients(objective):
    """Return the gradients of the only step that was taken, from Adam's mean of them."""
    state = objective.optimizer.state
    return [state[p]["exp_avg"] / 0.1 for p in objective.parameters() if p.requires_grad]


@pytest.mark.usefixtures("passes")
def test_a_step_of_curiosity_follows_the_gradient_of_both_losses():
    runs, share = (3, 5), 0.3
    learnt, twin = (icm(runs, forward_weight=share) for _ in range(2))
    batch = linear_system(Generators(runs))
    before, after = twin.embedding(batch.obs), twin.embedding(batch.next_obs)
    predicted = twin.forward_model(torch.cat((before, batch.action), -1))
    guessed = twin.inverse_model(torch.cat((before, after), -1))
    losses = {
        "forward_loss": (predicted - after).square().mean((1, 2)),
        "inverse_loss": (guessed - batch.action).square().mean((1, 2)),
    }
    loss = share * losses["forward_loss"] + (1 - share) * losses["inverse_loss"]
    expected = torch.autograd.grad(loss.sum(), list(twin.parameters()))
    torch.testing.assert_close(fit(learnt, batch), {n: v.detach() for n, v in losses.items()})
    torch.testing.assert_close(first_gradients(learnt), list(expected), rtol=1e-3, atol=1e-6)


@pytest.mark.usefixtures("passes")
def test_a_step_of_distillation_follows_the_gradient_of_the_squared_error():
    runs = (3, 5)
    learnt, twin = rnd(runs), rnd(runs)
    batch = linear_system(Generators(runs))
    inputs = batch.next_obs.clamp(-5.0, 5.0)  # nothing was observed to normalise them by
    loss = (twin.predictor(inputs) - twin.target_net(inputs)).square().mean((1, 2))
    expected = torch.autograd.grad(loss.sum(), list(twin.predictor.parameters()))
    torch.testing.assert_close(fit(learnt, batch)["predictor_loss"], loss.detach())
    torch.testing.assert_close(first_gradients(learnt), list(expected), rtol=1e-3, atol=1e-6)


def test_curiosity_pays_a_batch_the_error_that_it_made_before_it_was_learnt():
    learnt, batch = icm(coefficient=3.0, target_weight=2.0), linear_system(Generators((1,)))
    before = learnt.bonus(batch)
    fit(learnt, batch)
    paid = terms(learnt, batch)
    torch.testing.assert_close(paid["bonus"], 3.0 * before)
    assert paid["target"].unique().tolist() == [-1.0]
    assert learnt.bonus(batch).mean() < before.mean()


def test_distillation_pays_a_batch_the_error_that_it_made_before_it_was_learnt():
    learnt, batch = rnd(coefficient=3.0, target_weight=2.0), linear_system(Generators((1,)))
    before = learnt.bonus(batch.next_obs) * learnt.errors.deviation[0]
    fit(learnt, batch)
    paid = terms(learnt, batch)
    torch.testing.assert_close(paid["bonus"], 3.0 * before / learnt.errors.deviation[0])
    assert paid["target"].unique().tolist() == [-1.0]
    assert learnt.bonus(batch.next_obs).mean() < paid["bonus"].mean() / 3.0


def test_another_batch_is_paid_its_present_error():
    curious, distilled, batch = icm(), rnd(), linear_system(Generators((1,)))
    other = linear_system(Generators((2,)))
    for learnt in (curious, distilled):
        fit(learnt, batch)
    assert torch.equal(terms(curious, other)["bonus"], curious.bonus(other))
    assert torch.equal(terms(distilled, other)["bonus"], distilled.bonus(other.next_obs))


def test_the_error_falls_on_seen_states_and_stays_on_unseen_ones():
    learnt = rnd()
    seen, unseen = states(998, 1.0, 1000), states(999, -1.0, 1000)
    for batch in (seen, unseen):  # alike for the inputs' scale: what differs is what was fitted
        learnt.observe(batch.next_obs, onehot(batch))
    fit(learnt, seen)
    unit = learnt.errors.deviation.clone()
    before = [learnt.bonus(batch.next_obs).mean() * unit for batch in (seen, unseen)]
    for seed in range(400):
        fit(learnt, states(seed, 1.0))
    unit = learnt.errors.deviation
    after = [learnt.bonus(batch.next_obs).mean() * unit for batch in (seen, unseen)]
    assert after[0] < 0.02 * before[0]
    assert after[1] > 0.2 * before[1]
    assert after[1] > 50 * after[0]


def test_only_the_predictor_learns():
    learnt = rnd()
    before = copy.deepcopy(learnt.state_dict())
    fit(learnt, states(0, 1.0))
    moved = {name for name, value in learnt.state_dict().items() if (value != before[name]).any()}
    assert {name.split(".")[0] for name in moved} == {"predictor", "errors"}


def test_the_bonus_is_the_error_in_units_of_its_deviation():
    learnt = rnd()
    batches = [states(seed, 1.0) for seed in range(3)]
    for batch in batches:
        learnt.observe(batch.next_obs, onehot(batch))
    errors = []
    for batch in batches:
        errors.append(error_by_hand(learnt, batch.next_obs, batches))
        fit(learnt, batch)
    paid = learnt.bonus(batches[0].next_obs)
    expected = error_by_hand(learnt, batches[0].next_obs, batches) / torch.cat(errors).std(
        unbiased=False
    )
    torch.testing.assert_close(paid, expected, rtol=1e-3, atol=1e-5)


def error_by_hand(learnt, state, observed):
    seen = torch.cat([batch.next_obs for batch in observed], 1)
    inputs = (state - seen.mean(1)) / seen.std(1, unbiased=False)
    difference = learnt.predictor(inputs) - learnt.target_net(inputs)
    return difference.detach().square().mean(-1)


def test_the_units_of_the_states_do_not_matter():
    metres, millimetres = rnd(), rnd()
    for seed in range(20):
        batch = states(seed, 1.0)
        scaled = transitions(batch.obs, batch.action, 1000.0 * batch.next_obs + 7.0)
        for learnt, seen in ((metres, batch), (millimetres, scaled)):
            learnt.observe(seen.next_obs, onehot(seen))
            fit(learnt, seen)
    paid = metres.bonus(batch.next_obs)
    torch.testing.assert_close(millimetres.bonus(scaled.next_obs), paid, rtol=0.02, atol=1e-3)


def test_a_far_state_is_cut_at_five_deviations():
    learnt = rnd()
    learnt.observe(states(0, 0.0, 1000).next_obs, torch.zeros(1, 1000, 0))
    fit(learnt, states(0, 0.0))
    far = torch.tensor([100.0, 1e6]).view(1, 2, 1).expand(-1, -1, OBS)
    assert learnt.bonus(far)[0, 0] == learnt.bonus(far)[0, 1]


@pytest.mark.parametrize("make", [icm, rnd])
def test_a_run_is_paid_beside_others_as_alone(make):
    both, alone, streams = make(runs=(3, 4)), make(runs=(4,)), Generators((5, 6))
    for _ in range(3):
        batch = linear_system(streams)
        second = transitions(batch.obs[1:], batch.action[1:], batch.next_obs[1:])
        for objective, seen in ((both, batch), (alone, second)):
            objective.observe(seen.next_obs, onehot(seen))
            fit(objective, seen)
    bonus = terms(both, batch)["bonus"][1:]
    torch.testing.assert_close(terms(alone, second)["bonus"], bonus, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("make", [icm, rnd])
def test_a_fresh_objective_goes_on_from_a_saved_one(make):
    objective, fresh, streams = make(), make(runs=(9,)), Generators((5,))
    for _ in range(3):
        batch = linear_system(streams)
        objective.observe(batch.next_obs, onehot(batch))
        fit(objective, batch)
    fresh.load_state_dict(copy.deepcopy(objective.state_dict()))
    for name, optimizer in objective.optimizers.items():
        fresh.optimizers[name].load_state_dict(copy.deepcopy(optimizer.state_dict()))
    batch = linear_system(streams)
    for each in (objective, fresh):
        fit(each, batch)
    other = linear_system(streams)
    assert torch.equal(terms(fresh, other)["bonus"], terms(objective, other)["bonus"])
