import pytest

from smm_ros.parameter_file import (
    ParameterFileError,
    get_setting,
    nearest,
    put_setting,
    read_parameter_file,
    write_parameter_file,
)

NODES = ("hand", "trainer")


def test_settings_come_by_node_with_those_for_every_node(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text(
        """
/**/trainer:
  ros__parameters:
    learner: {sac: {tau: 5e-3}, batch_size: 64}
    learner.sac.discount: 0.9
    seed: 2
/**:
  ros__parameters:
    seed: 1
"""
    )
    assert read_parameter_file(file, NODES) == {
        "hand": {"seed": 1},
        "trainer": {
            "learner": {"sac": {"tau": 0.005, "discount": 0.9}, "batch_size": 64},
            "seed": 2,
        },
    }


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("/**/trianer: {ros__parameters: {}}", r"'/\*\*/trianer'; did you mean '/\*\*/trainer'"),
        ("/**/hand: {seed: 1}", "must hold ros__parameters"),
        ("[1, 2]", "expected sections"),
        ("/**/hand: {ros__parameters: 3}", "holds 3, expected settings"),
        ("a: [", "can not read"),
    ],
)
def test_what_no_node_would_hear_is_an_error_that_names_the_file(tmp_path, content, error):
    file = tmp_path / "config.yaml"
    file.write_text(content)
    with pytest.raises(ParameterFileError, match=error) as caught:
        read_parameter_file(file, NODES)
    assert str(file) in str(caught.value)


def test_written_file_is_read_back(tmp_path):
    settings = {"seed": 3, "rate": 1e-5, "hands": ["/a"], "inner": {"none": [], "name": "on"}}
    file = tmp_path / "params" / "hand.yaml"
    write_parameter_file(file, settings)
    assert read_parameter_file(file, ["hand"]) == {"hand": settings}


def test_settings_are_found_and_put_by_dotted_name():
    settings = {"a": {"b": 1}}
    put_setting(settings, "a.c.d", 2)
    assert settings == {"a": {"b": 1, "c": {"d": 2}}}
    assert get_setting(settings, "a.c") == {"d": 2}
    assert get_setting(settings, "a.b.x") is None


def test_hint_names_what_is_near_or_all():
    assert nearest("sede", ["seed", "port"]) == "did you mean 'seed'?"
    assert nearest("zzz", ["seed", "port"]) == "known: seed, port"
