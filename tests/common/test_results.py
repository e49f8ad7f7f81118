import pytest

from common import results
from common.places import HERE
from tests.helpers import refused


def record(value):
    return {"test_set": "t", "track": "a", "system": "s", "source": "bass", "metric": "m", "unit": "dB", "value": value}


def test_what_is_written_is_read_back(tmp_path):
    path = tmp_path / "run.json"
    content = results.head("a run", config={"x": 1}, seed=3, data="ab")
    content["records"] = [record(1.25)]
    results.write(path, content)
    back = results.read(path)
    assert back["records"] == [record(1.25)] and back["schema"] == 1 and back["seed"] == 3
    assert back["environment"]["python"].startswith("3.")
    assert str(HERE.root) not in path.read_text()


def test_an_edited_value_is_noticed(tmp_path):
    path = tmp_path / "run.json"
    results.write(path, {**results.head("a run"), "records": [record(1.25)]})
    path.write_text(path.read_text().replace("1.25", "9.25"))
    refused("make results", results.read, path, error=results.ResultsError)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 2}', '{"schema": 1}'])
def test_what_is_no_result_file_is_named(tmp_path, text):
    path = tmp_path / "run.json"
    path.write_text(text)
    refused("run.json", results.read, path, error=results.ResultsError)
    refused("no such file", results.read, tmp_path / "other.json", error=results.ResultsError)


def test_values_that_json_cannot_hold_are_refused_and_nothing_is_written(tmp_path):
    path = tmp_path / "run.json"
    refused("not finite", results.write, path, {**results.head("a run"), "records": [record(float("nan"))]})
    assert list(tmp_path.iterdir()) == []


SCORE = {"test_set", "track", "system", "source", "metric", "unit", "value"}
BENCHMARK = {"benchmark", "ours_s", "peer", "peer_s", "ratio", "max_error", "peak_mb"}


def test_every_committed_result_is_intact_and_well_formed():
    paths = list(HERE.results.rglob("*.json"))
    assert {"scores", "audio"} <= {path.relative_to(HERE.results).parts[0] for path in paths}
    for path in paths:
        content = results.read(path)
        assert {"name", "command", "commit", "config", "seed", "data", "environment"} <= set(content), path
        wanted = SCORE if path.parent.name == "scores" else BENCHMARK if path.name == "benchmarks.json" else set()
        for record in content.get("records", []):
            assert wanted <= set(record), path


def test_a_file_is_up_to_date_with_its_settings_and_data_alone(tmp_path):
    path = tmp_path / "run.json"
    assert not results.is_up_to_date(path, {}, "ab")
    results.write(path, results.head("a run", config={"x": 1, "old": 2}, data="ab"))
    assert results.is_up_to_date(path, {"x": 1, "old": 2}, "ab")
    assert not results.is_up_to_date(path, {"x": 1, "old": 2}, "cd")
    assert not results.is_up_to_date(path, {"x": 1, "old": 3, "new": 4}, "ab")
    assert results.is_up_to_date(
        path, {"x": 1, "old": 3, "new": 4}, "ab", missing={"x": 9, "new": 4}, instead={"old": 3}
    )


def test_a_command_names_what_it_wrote_or_why_it_did_not(capsys):
    assert results.report("make", lambda: [HERE.results / "a.json", "b"]) == 0
    assert results.report("make", lambda: []) == 0
    assert capsys.readouterr().out == "wrote results/a.json, b\nall up to date\n"

    def write():
        raise OSError("no space\nleft")

    assert results.report("make", write) == 2 and capsys.readouterr().err == "make: no space\\nleft\n"
