"""Examples of what a listener hears: every sound with the features of its own mixture, and each mixture heard once."""

import numpy as np
import pytest

from ddsp_models import features as feature
from ddsp_models.separation import estimated_features
from tests.conftest import make_tree


def test_a_remix_takes_its_stems_from_different_songs():
    songs = [{s: np.full(10 + i, 100 * k + i) for k, s in enumerate(("drums", "bass", "vocals"))} for i in range(30)]
    found = list(estimated_features.mixtures(songs, ("drums", "bass", "vocals"), 2))
    assert len(found) == 90
    for i, parts in enumerate(found):
        assert len({len(x) for x in parts.values()}) == 1
        from_songs = [int(x[0]) % 100 for x in parts.values()]
        assert from_songs[0] == i % 30
        assert len(set(from_songs)) == (1 if i < 30 else 3)


class Loud:
    """Hears nothing but how loud the mixture is."""

    sources = ("drums", "bass", "vocals")
    estimated_features = 0

    def __init__(self, name, folder):
        pass

    def describe(self, audio):
        Loud.heard += 1
        frames = len(audio) // feature.HOP_LENGTH
        return {s: {"loudness": np.full((frames, 1), np.abs(audio).max())} for s in self.sources}


def test_features_are_the_mixtures_and_sounds_the_sources(tmp_path, monkeypatch):
    monkeypatch.setattr(estimated_features, "MaskedSeparator", Loud)
    (tmp_path / "separator-ears.keras").write_bytes(b"weights")
    root = make_tree(tmp_path / "songs", seconds=1.0, subset="train")
    places = {"listener": "ears", "weights": tmp_path, "kept": tmp_path / "kept"}
    found = estimated_features.heard_examples("bass", root, "train", 1, **places)
    [*songs] = estimated_features.tracks(root, "train")
    assert len(found) == 2 * len(songs) and Loud.heard == len(found)
    for (features, sound), song in zip(found, songs):
        stems = song.stems(16000, mono=True, sources=Loud.sources)
        assert features["loudness"][0, 0] == pytest.approx(np.abs(sum(stems.values())).max())
        assert len(sound) == feature.HOP_LENGTH * len(features["loudness"])
        np.testing.assert_allclose(sound, feature.heard(stems["bass"], 16000)[: len(sound)], atol=1e-6)
    again = estimated_features.heard_examples("bass", root, "train", 1, **places)
    assert Loud.heard == len(found)  # what was kept is read
    np.testing.assert_array_equal(again[-1][1], found[-1][1])
    (tmp_path / "separator-ears.keras").write_bytes(b"others")
    estimated_features.heard_examples("drums", root, "train", 0, **places)
    assert Loud.heard == len(found) + len(songs)  # other ears listen anew
