"""A fit in its thread: what it leaves behind, and what it says where it can not."""

import json
import time

import pytest

from smm_core.config import ConfigError, from_mapping
from smm_core.offline.fit_config import FitConfig
from smm_core.offline.fitted_models import load_models
from smm_ros.bag.offline.fit_stream import FitStream
from smm_ros.bag.offline.fit_work import FitterConfig, FitWork

SETTINGS = {"density": {"model": "histogram"}, "steps": 3}


@pytest.fixture
def stream_of(make_record):
    """Return a function that makes a stream of episodes of ten transitions, some left out."""

    def make(count, missing=(), **settings):
        stream = FitStream(from_mapping(FitConfig, SETTINGS | settings), 12)
        for number in sorted(set(range(count)) - set(missing)):
            stream.add(make_record(number, episode=number // 10))
        return stream

    return make


def done(work):
    work.start()
    work.join(60)
    assert not work.is_alive()
    assert work.error is None
    return work


def test_the_result_says_what_matters_and_where_it_is(stream_of, tmp_path):
    work = done(FitWork(stream_of(400, missing=(7, 8)), tmp_path / "fit", {"from": "here"}))
    assert work.result.startswith("histogram of ")
    assert "-E log q of those held out" in work.result
    assert "; 2 transitions of dclaw are missing" in work.result
    assert work.result.endswith(f"; {tmp_path / 'fit'}")
    told = json.loads((tmp_path / "fit" / "fit.json").read_text())
    assert told["origin"] == {"from": "here"}
    assert told["hands"]["dclaw"]["gaps"] == 2
    assert load_models(tmp_path / "fit").obs_size == 12


def test_nothing_is_written_over(stream_of, tmp_path):
    (tmp_path / "fit").mkdir()
    work = done(FitWork(stream_of(400), tmp_path / "fit", {}))
    assert work.result.endswith(str(tmp_path / "fit-2"))
    assert not list((tmp_path / "fit").iterdir())


@pytest.mark.parametrize(
    ("count", "settings", "words"),
    [
        (0, {}, "there are no transitions to fit to"),
        (10, {}, "of 10 states would be held out"),
        (400, {"num_skills": 2, "discriminator": {"hidden": [4]}}, ""),
    ],
)
def test_what_can_not_be_fitted_is_a_fault_and_leaves_nothing(
    stream_of, tmp_path, count, settings, words
):
    work = done(FitWork(stream_of(count, **settings), tmp_path / "fit", {}))
    assert words in work.fault
    assert bool(work.fault) == bool(words) != bool(work.result)
    assert (tmp_path / "fit").exists() == (not words)


def test_a_stopped_fit_ends_soon_and_writes_nothing(stream_of, tmp_path):
    flow = {"density": {"model": "flow"}, "steps": 10_000_000}
    work = FitWork(stream_of(400, **flow), tmp_path / "fit", {})
    work.start()
    while not work.steps:
        time.sleep(0.01)
    work.stop()
    work.join(60)
    assert not work.is_alive()
    assert "the fit was stopped after" in work.fault
    assert not list(tmp_path.iterdir())


def test_settings_without_a_hand_or_a_folder_are_refused():
    with pytest.raises(ConfigError, match="hands is .*, expected at least one hand"):
        FitterConfig(hands=("/",))
    with pytest.raises(ConfigError, match="out is empty, expected a folder"):
        FitterConfig(out="")
    assert FitterConfig(hands=("/a/", "a", "b")).hand_names == ("a", "b")
