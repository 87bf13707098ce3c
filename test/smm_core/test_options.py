"""Settings from a file and a command line: the command line wins, nothing unknown is taken."""

import argparse
from dataclasses import dataclass

import pytest

from smm_core.config import Config, ConfigError, option
from smm_core.options import OptionParser, add_options, read_options, read_yaml


@dataclass(frozen=True)
class Net(Config):
    """A network."""

    sizes: tuple[int, ...] = option((2, 3), "widths", low=1)
    offset: float = option(-1.0, "an offset of 100% of its value")


@dataclass(frozen=True)
class Job(Config):
    """A job."""

    steps: int = option(10, "how long", low=1)
    rule: str = option("near", "which rule", choices=("near", "far"))
    quiet: bool = option(False, "say less")
    net: Net = option(Net(), "the network")


@pytest.fixture
def parse():
    def parse(words, file=None):
        parser = argparse.ArgumentParser(exit_on_error=False)
        add_options(parser, Job)
        return read_options(Job, file, vars(parser.parse_args(words.split())))

    return parse


@pytest.fixture
def yaml_file(tmp_path):
    def write(text):
        path = tmp_path / "settings.yaml"
        path.write_text(text)
        return path

    return write


def test_nothing_given_is_all_defaults(parse, yaml_file):
    assert parse("") == parse("", yaml_file("")) == Job()


def test_the_command_line_beats_the_file_and_the_file_beats_the_default(parse, yaml_file):
    file = yaml_file("steps: 20\nrule: far\nnet: {offset: 4.0, sizes: [7]}\n")
    config = parse("--steps 30 --net.offset 5", file)
    assert config == Job(steps=30, rule="far", net=Net(offset=5.0, sizes=(7,)))


@pytest.mark.parametrize(
    ("words", "config"),
    [
        ("--quiet true", Job(quiet=True)),
        ("--quiet FALSE", Job(quiet=False)),
        ("--net.sizes 4 5 6", Job(net=Net(sizes=(4, 5, 6)))),
        ("--net.sizes", Job(net=Net(sizes=()))),
        ("--net.offset -0.5", Job(net=Net(offset=-0.5))),
        ("--net.offset=-1e-3", Job(net=Net(offset=-0.001))),
        ("--net.offset 2", Job(net=Net(offset=2.0))),
    ],
)
def test_words_become_values_of_the_declared_type(parse, words, config):
    assert parse(words) == config


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("--quiet yes", "true or false"),
        ("--rule nearby", "near"),
        ("--steps 1.5", "1.5"),
        ("--net.sizes 4 five", "five"),
    ],
)
def test_a_word_of_another_type_is_refused(parse, words, hint):
    with pytest.raises(argparse.ArgumentError, match=hint):
        parse(words)


@pytest.fixture
def refuse(capsys):
    """Return a function that gives what is said of a command line that is not understood."""

    def refuse(words):
        parser = OptionParser(prog="smm job")
        parser.add_argument("env", nargs="?")
        add_options(parser, Job)
        with pytest.raises(SystemExit, match="2"):
            parser.parse_args(words.split())
        return capsys.readouterr().err

    return refuse


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("near --stpes 100", "unknown option --stpes; did you mean --steps?"),
        ("near --stpes=100", "unknown option --stpes; did you mean --steps?"),
        ("--stpes 100 near", "unknown option --stpes; did you mean --steps?"),
        ("--step 3", "unknown option --step; did you mean --steps?"),
        ("--offset 2", "unknown option --offset; did you mean --net.offset?"),
        ("--zzz", "unknown option --zzz ("),
        ("near far", "unexpected argument 'far'"),
        ("--steps many", "argument --steps: invalid int value: 'many'"),
        ("--ruel far --quite true", "--rule?; unknown option --quite; did you mean --quiet?"),
    ],
)
def test_a_command_line_not_understood_is_one_line_with_the_nearest_option(refuse, words, said):
    error = refuse(words)
    assert error.startswith("error: ")
    assert said in error
    assert error.endswith("(smm job --help lists all options)\n")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("--steps 0", "steps is 0, expected at least 1"),
        ("--net.sizes 3 0", "net.sizes is 0, expected at least 1"),
    ],
)
def test_a_range_is_checked_on_the_command_line_too_and_the_option_named(parse, words, error):
    with pytest.raises(ConfigError) as found:
        parse(words)
    assert str(found.value) == error


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("stesp: 3", ("stesp", "steps")),
        ("net: {size: [3]}", ("net.size", "sizes")),
        ("net.offset: 3.0", ("net.offset",)),
        ("net: 3", ("net", "3", "group")),
        ("net:", ("net", "None", "group")),
        ("- steps", ("list",)),
        ("steps: [", ("settings.yaml",)),
        ("3: 4", ("'3'",)),
    ],
)
@pytest.mark.parametrize("words_beside", ["", "--net.offset 5"])
def test_a_bad_file_is_refused_by_name(parse, yaml_file, text, words, words_beside):
    with pytest.raises(ConfigError) as error:
        parse(words_beside, yaml_file(text))
    assert all(word in str(error.value) for word in words), str(error.value)


def test_a_file_goes_before_the_one_it_is_based_on(parse, tmp_path):
    tmp_path.joinpath("low.yaml").write_text("steps: 3\nnet: {offset: 1.5, sizes: [4]}\n")
    tmp_path.joinpath("mid.yaml").write_text("base: low.yaml\nnet: {offset: 2.5}\n")
    over = tmp_path / "over.yaml"
    over.write_text("base: mid.yaml\nsteps: 7\n")
    job = parse("", over)
    assert (job.steps, job.net.offset, job.net.sizes) == (7, 2.5, (4,))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("base: settings.yaml", "its own base"),
        ("base: 3", "'base' is 3"),
        ("base: absent.yaml", "absent.yaml"),
    ],
)
def test_a_base_that_can_not_be_read_is_named(parse, yaml_file, text, words):
    with pytest.raises(ConfigError, match=words):
        parse("", yaml_file(text))


def test_a_missing_file_and_one_that_is_no_text_are_refused_by_name(tmp_path):
    with pytest.raises(ConfigError, match=r"absent\.yaml"):
        read_yaml(tmp_path / "absent.yaml")
    tmp_path.joinpath("binary.yaml").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(ConfigError, match=r"binary\.yaml"):
        read_yaml(tmp_path / "binary.yaml")


def test_names_that_are_no_settings_are_left_to_the_caller():
    assert read_options(Job, None, {"env": "Pendulum-v1", "steps": 5}) == Job(steps=5)


def test_help_shows_every_option_with_its_range_and_default():
    parser = argparse.ArgumentParser()
    add_options(parser, Job)
    text = " ".join(parser.format_help().split())
    for words in ("--steps", "at least 1, default 10", "--net.offset", "100% of its value"):
        assert words in text


def test_help_and_options_know_the_defaults_of_the_field_that_holds_a_group():
    @dataclass(frozen=True)
    class Holder(Config):
        net: Net = option(Net(offset=7.5), "a group whose default is not its class's")

    parser = argparse.ArgumentParser()
    add_options(parser, Holder)
    assert "default 7.5" in " ".join(parser.format_help().split())
    given = vars(parser.parse_args(["--net.sizes", "9"]))
    assert read_options(Holder, None, given).net == Net(sizes=(9,), offset=7.5)
