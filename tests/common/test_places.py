"""Places that environment variables name, and the excerpts of MUSDB18 that lie in the checkout."""

from pathlib import Path

from common.places import Places


def test_music_is_where_its_variable_says_or_where_it_was_fetched_to(tmp_path):
    assert Places.named_by({}, tmp_path).musdb is None and Places.named_by({}, tmp_path).air_traffic is None
    (tmp_path / "data" / "musdb18-7s").mkdir(parents=True)
    assert Places.named_by({"MUSDB_PATH": ""}, tmp_path).musdb == tmp_path / "data" / "musdb18-7s"
    named = Places.named_by({"MUSDB_PATH": "/my/musdb", "AIR_TRAFFIC_PATH": "/my/song"}, tmp_path)
    assert (named.musdb, named.air_traffic) == (Path("/my/musdb"), Path("/my/song"))


def test_paths_are_shown_relative_to_the_root(tmp_path):
    places = Places(tmp_path)
    assert places.shown(places.results / "a.json") == Path("results/a.json")
    assert places.shown("/elsewhere/a.json") == Path("/elsewhere/a.json")
