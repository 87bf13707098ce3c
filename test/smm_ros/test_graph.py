from pathlib import Path

import pytest

from smm_ros.graph import GraphError, arguments, graph_names, render
from smm_ros.parameter_file import get_setting, read_parameter_file

REQUIRED = {
    "sim", "port", "baud_rate", "namespace", "record", "bag_dir", "config", "seed",
    "num_skills", "real_time_factor", "checkpoint", "bags", "log_level",
}  # fmt: skip


def dclaw(tmp_path, **values):
    return render("dclaw_hardware", {"sim": "true", "run_dir": str(tmp_path / "run"), **values})


def parameters(graph, name):
    return next(node.parameters for node in graph.nodes if node.name == name)


def test_every_argument_is_described():
    for name in graph_names():
        assert all(len(argument.description) > 10 for argument in arguments(name))
    assert {argument.name for argument in arguments("dclaw_hardware")} >= REQUIRED


def test_graph_has_the_four_nodes_in_the_namespace(tmp_path):
    graph = dclaw(tmp_path, namespace="lab/left")
    assert {node.name for node in graph.nodes} == {"hand", "policy_server", "trainer", "recorder"}
    assert {node.namespace for node in graph.nodes} == {"/lab/left"}
    assert parameters(graph, "trainer")["hands"] == ["/lab/left"]
    assert [node.name for node in graph.nodes if node.ends_graph] == ["trainer"]


def test_torque_goes_off_first_and_the_recorder_hears_the_end(tmp_path):
    graph = dclaw(tmp_path)
    assert graph.stop_order[0] == ("hand",)
    assert graph.stop_order[-1] == ("recorder",)
    assert {n for group in graph.stop_order for n in group} == {n.name for n in graph.nodes}


def test_argument_goes_before_the_config_file_and_its_absence_leaves_the_file_alone(tmp_path):
    config = tmp_path / "mine.yaml"
    config.write_text(
        "/**/hand: {ros__parameters: {seed: 3, real_time_factor: 2.0}}\n"
        "/**/trainer: {ros__parameters: {seed: 3}}\n"
    )
    left = dclaw(tmp_path, config=str(config))
    assert parameters(left, "hand")["seed"] == parameters(left, "trainer")["seed"] == 3
    set_ = dclaw(tmp_path, config=str(config), seed="9", real_time_factor="0")
    assert [parameters(set_, name)["seed"] for name in ("hand", "policy_server", "trainer")] == [
        9, 9, 9,
    ]  # fmt: skip
    assert parameters(set_, "hand")["real_time_factor"] == 0.0
    assert isinstance(parameters(set_, "hand")["real_time_factor"], float)


def test_policy_server_has_what_must_agree_as_the_trainer_has_it(tmp_path):
    graph = dclaw(tmp_path, num_skills="4")
    server, trainer = parameters(graph, "policy_server"), parameters(graph, "trainer")
    assert server["num_skills"] == get_setting(trainer, "learner.num_skills") == 4
    assert server["hidden"] == get_setting(trainer, "learner.sac.hidden")
    assert server["history"] == get_setting(trainer, "learner.history")


def test_config_file_that_sets_what_must_agree_twice_is_refused(tmp_path):
    config = tmp_path / "mine.yaml"
    config.write_text("/**/policy_server: {ros__parameters: {num_skills: 3}}")
    with pytest.raises(GraphError, match="set learner.num_skills of the trainer"):
        dclaw(tmp_path, config=str(config))


def test_without_recording_there_is_no_recorder_and_no_bag_to_go_on_from(tmp_path):
    graph = dclaw(tmp_path, record="false")
    assert "recorder" not in {node.name for node in graph.nodes}
    assert parameters(graph, "trainer")["bag"] == ""


def test_bag_is_written_where_the_trainer_reads_it(tmp_path):
    graph = dclaw(tmp_path, bag_dir=str(tmp_path / "elsewhere"))
    bag = parameters(graph, "recorder")["bag_dir"]
    assert bag == parameters(graph, "trainer")["bag"] == str(tmp_path / "elsewhere")


def test_bags_of_earlier_runs_are_the_trainers_as_a_list_of_absolute_paths(tmp_path):
    config = tmp_path / "mine.yaml"
    config.write_text("/**/trainer: {ros__parameters: {bags: [/theirs]}}\n")
    left = dclaw(tmp_path, config=str(config))
    assert parameters(left, "trainer")["bags"] == ["/theirs"]
    given = dclaw(tmp_path, config=str(config), bags="[/a, b]")
    assert parameters(given, "trainer")["bags"] == ["/a", str(Path.cwd() / "b")]
    assert "bags" not in parameters(dclaw(tmp_path), "trainer")


def test_who_has_no_stamps_of_the_hand_follows_simulated_time(tmp_path):
    graph = dclaw(tmp_path)
    for name in ("hand", "policy_server"):
        assert "use_sim_time" not in parameters(graph, name)
    for name in ("trainer", "recorder"):
        assert parameters(graph, name)["use_sim_time"] is True


def test_written_parameters_are_those_of_the_graph(tmp_path):
    graph = dclaw(tmp_path)
    graph.write_parameter_files()
    for node in graph.nodes:
        read = read_parameter_file(graph.parameter_file(node), [node.name])
        assert read == {node.name: node.parameters}


def test_new_run_folder_is_never_one_that_exists(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = set()
    for _ in range(3):
        run_dir = render("dclaw_hardware", {"sim": "true"}).run_dir
        assert run_dir.is_absolute()
        assert not run_dir.exists()
        run_dir.mkdir(parents=True)
        folders.add(run_dir)
    assert len(folders) == 3


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"config": "nothing.yaml"}, "config is 'nothing.yaml', which is no file.*dclaw.yaml"),
        ({"real_time_facter": "1"}, "did you mean 'real_time_factor'"),
    ],
)
def test_graph_that_can_not_be_made_says_why(tmp_path, values, error):
    with pytest.raises(ValueError, match=error):
        dclaw(tmp_path, **values)


def test_unknown_graph_is_named_with_the_nearest():
    with pytest.raises(GraphError, match="no graph 'dclaw'; did you mean 'dclaw_hardware'"):
        render("dclaw", {})


def test_config_of_the_package_can_be_named_without_its_ending(tmp_path):
    assert parameters(dclaw(tmp_path, config="dclaw"), "hand")["baud_rate"] == 1_000_000
