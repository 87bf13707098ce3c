"""When an update is captured, when anew, and what happens where it can not be."""

import logging

import pytest
import torch

from smm_core.update_graph import WARM_UP, UpdateGraph


class PretendedRecorder:
    """Says that there was a capture, for which there is no GPU here."""

    def __init__(self):
        self.captures, self.error = 0, None

    def warm_up(self, update):
        return update()

    def capture(self, update):
        if self.error is not None:
            raise self.error
        self.captures += 1
        replayed = {"loss": f"graph {self.captures}"}
        return lambda: replayed


class Updates:
    """Updates over a table that may be put elsewhere."""

    def __init__(self):
        self.table, self.recorder = torch.zeros(2), PretendedRecorder()
        self.graph = UpdateGraph(lambda: {"loss": "eager"}, lambda: [self.table], self.recorder)

    def made(self, count):
        return [self.graph()["loss"] for _ in range(count)]


@pytest.fixture
def updates():
    """Make updates whose capture is only pretended."""
    return Updates()


def test_the_first_updates_are_made_as_they_come_and_then_one_graph_is_replayed(updates):
    assert updates.made(WARM_UP + 3) == ["eager"] * WARM_UP + ["graph 1"] * 3


def test_an_update_is_captured_anew_where_what_it_learns_in_was_put_elsewhere(updates):
    updates.made(WARM_UP + 1)
    updates.table = torch.zeros(4)
    assert updates.made(2) == ["graph 2"] * 2


def test_what_changes_in_place_needs_no_other_graph(updates):
    updates.made(WARM_UP + 1)
    updates.table += 1.0
    assert updates.made(2) == ["graph 1"] * 2


def test_an_update_that_can_not_be_captured_goes_on_as_it_came_and_says_so_once(updates, caplog):
    updates.recorder.error = RuntimeError("operation not permitted while capturing\nmore of it")
    with caplog.at_level(logging.WARNING):
        assert updates.made(WARM_UP + 3) == ["eager"] * (WARM_UP + 3)
        updates.table = torch.zeros(4)
        assert updates.made(1) == ["eager"]
    assert [record.getMessage() for record in caplog.records] == [
        "updates are made without a CUDA graph, which is slower: operation not permitted while"
        " capturing"
    ]
