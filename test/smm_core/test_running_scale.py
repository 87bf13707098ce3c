"""The running mean and deviation are those of all states seen, in whatever batches they came."""

import torch

from smm_core.running_scale import RunningScale


def test_batches_give_what_all_states_at_once_give():
    states = 7.0 + 3.0 * torch.randn(2, 300, 4, generator=torch.Generator().manual_seed(0))
    scale = RunningScale(2, 4)
    for batch in states.split((1, 99, 150, 50), 1):
        scale.observe(batch)
    torch.testing.assert_close(scale.mean[:, 0], states.mean(1))
    torch.testing.assert_close(scale.deviation[:, 0], states.std(1, unbiased=False))


def test_restored_states_are_those_normalised_and_the_volume_is_their_slope():
    states = torch.tensor([[[1.0, 100.0], [3.0, 500.0]]])
    scale = RunningScale(1, 2)
    scale.observe(states)
    normalised = scale.normalise(states)
    torch.testing.assert_close(normalised, torch.tensor([[[-1.0, -1.0], [1.0, 1.0]]]))
    torch.testing.assert_close(scale.restore(normalised), states)
    torch.testing.assert_close(scale.log_volume(), -torch.tensor([[200.0]]).log())


def test_without_coordinates_batches_are_still_counted():
    scale = RunningScale(1, 0)
    scale.observe(torch.zeros(1, 5, 0))
    scale.observe(torch.zeros(1, 3, 0))
    assert float(scale.seen) == 8
    assert scale.log_volume().tolist() == [[0.0]]
