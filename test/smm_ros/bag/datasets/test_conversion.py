"""What a conversion tells: the same words and statuses on the way to a dataset and back."""

import json
from pathlib import Path

import pytest

from smm_core.config import ConfigError
from smm_ros.bag.datasets.conversion import Conversion, convert
from smm_ros.bag.datasets.dataset import DatasetError
from smm_ros.bag.mcap_file import BagError
from smm_ros.bag.new_folder import FolderError
from smm_ros.transition_wire import TransitionWireError

OUT = Path("data")


def done(tell):
    tell(3)
    return Conversion(3, ["one note"], {"doubled": 1})


def test_what_was_written_is_told_in_words_or_as_json(capsys):
    assert convert(done, OUT, as_json=False) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("wrote 3 transitions to data in ")
    assert second == "  one note"
    assert convert(done, OUT, as_json=True) == 0
    told = {"transitions": 3, "out": "data", "notes": ["one note"], "doubled": 1}
    assert json.loads(capsys.readouterr().out) == told


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (KeyboardInterrupt(), 130, "interrupted; nothing was written"),
        *(
            (kind("it is wrong"), 1, "error: it is wrong")
            for kind in (
                *(BagError, ConfigError, DatasetError, FolderError),
                *(TransitionWireError, OSError),
            )
        ),
    ],
)
def test_what_went_wrong_is_one_line_and_the_status_says_of_which_kind(
    capsys, error, status, words
):
    def fail(tell):
        raise error

    assert convert(fail, OUT, as_json=True) == status
    out, err = capsys.readouterr()
    assert (out, err.strip()) == ("", words)
