"""What `make verify` calls equal, and what not."""

import copy

import keras
import pytest

from common import results
from tools import verify

BACKEND = keras.backend.backend()
REFERENCE = {
    "environment": results.environment(),
    "data_fingerprints": {"a song": {"sha256": "abc", "levels": {"drums": -20.0, "bass": -25.0}}},
    "curves": {BACKEND: [3.0, 2.5], "another": [9.0]},
}
SCORES = {"drums": 10.0}


def wrong(data=None, curve=(3.0, 2.5), scores=SCORES, reference=REFERENCE):
    data = copy.deepcopy(REFERENCE["data_fingerprints"]) if data is None else data
    rows = verify.compare(data, list(curve), scores, SCORES, reference)
    return [what for what, difference, allowed, _ in rows if not difference <= allowed]


def test_the_same_is_the_same():
    assert wrong() == []


def test_every_difference_is_named():
    assert wrong(data={}) == ["data: a song, bits", "data: a song, levels"]
    louder = {"a song": {"sha256": "abc", "levels": {"drums": -19.9, "bass": -25.0}}}
    assert wrong(data=louder) == ["data: a song, levels"]
    assert (
        wrong(curve=[3.0, 2.4])
        == wrong(curve=[3.0])
        == wrong(curve=[3.0, float("nan")])
        == [f"training: validation loss on {BACKEND}"]
    )
    assert wrong(reference={**REFERENCE, "curves": {"another": [3.0, 2.5]}}) == wrong(curve=[3.0])
    assert wrong(scores={"drums": 9.9}) == ["evaluation: SI-SDR of drums"]


def test_another_machine_is_held_to_levels_not_to_bits():
    elsewhere = {**REFERENCE, "environment": {**REFERENCE["environment"], "python": "3.99"}}
    other_bits = {"a song": {"sha256": "def", "levels": {"drums": -20.00001, "bass": -25.0}}}
    assert wrong(data=other_bits) == ["data: a song, bits"]
    assert wrong(data=other_bits, reference=elsewhere) == []


def test_each_backend_has_a_curve_of_its_own(tmp_path, monkeypatch):
    path, data, here = tmp_path / "verify.json", REFERENCE["data_fingerprints"], results.environment()
    verify.write(path, data, [1.0])
    monkeypatch.setattr(results, "environment", lambda: {**here, "backend": "another"})
    verify.write(path, {}, [2.0])
    content = results.read(path)
    assert content["curves"] == {BACKEND: [1.0], "another": [2.0]} and content["data_fingerprints"] == data


@pytest.mark.slow
def test_songs_are_the_same_bits_when_rendered_again():
    first, again = ({name: verify.fingerprint(song) for name, song in verify.songs(1, 1.0).items()} for _ in range(2))
    assert first == again and len(first) == 1
