"""Estimated features: every sound with the features of its own mixture, and each mixture analysed once."""

import numpy as np
import pytest

from audio_processing.tracks import TRIO, tracks
from common.places import Places
from ddsp_models import features as feature
from ddsp_models.separation import estimated_features
from tests.helpers import make_tree


def test_a_remix_takes_its_stems_from_different_songs():
    songs = [{s: np.full(10 + i, 100 * k + i) for k, s in enumerate(TRIO)} for i in range(30)]
    mixtures = list(estimated_features.mixtures(songs, TRIO, 2))
    assert len(mixtures) == 90
    for i, parts in enumerate(mixtures):
        assert len({len(x) for x in parts.values()}) == 1
        from_songs = [int(x[0]) % 100 for x in parts.values()]
        assert from_songs[0] == i % 30
        assert len(set(from_songs)) == (1 if i < 30 else 3)


class Loud:
    """Estimates nothing but the loudness of the mixture, and counts mixtures."""

    sources, analysed = TRIO, 0

    @classmethod
    def load(cls, name, folder):
        return cls()

    def describe(self, audio):
        Loud.analysed += 1
        frames = len(audio) // feature.HOP_LENGTH
        return {s: {"loudness": np.full((frames, 1), np.abs(audio).max())} for s in self.sources}


def test_features_are_the_mixtures_and_sounds_the_sources(tmp_path, monkeypatch):
    monkeypatch.setattr(estimated_features, "MaskedSeparator", Loud)
    (tmp_path / "separator-any.keras").write_bytes(b"weights")
    root = make_tree(tmp_path / "songs", seconds=1.0, subset="train")
    options = {"estimator": "any", "weights": tmp_path, "places": Places(tmp_path)}
    examples = estimated_features.estimated_examples(root, "train", "bass", 1, **options)
    songs = tracks(root, "train")
    assert len(examples) == 2 * len(songs) == Loud.analysed
    for (features, sound), song in zip(examples, songs):
        stems = song.stems(16000, mono=True, sources=TRIO)
        assert features["loudness"][0, 0] == pytest.approx(np.abs(sum(stems.values())).max())
        assert len(sound) == feature.HOP_LENGTH * len(features["loudness"])
        np.testing.assert_allclose(sound, feature.whole_frames(stems["bass"], 16000)[: len(sound)], atol=1e-6)
    again = estimated_features.estimated_examples(root, "train", "bass", 1, **options)
    assert Loud.analysed == len(examples)  # the kept ones are read
    np.testing.assert_array_equal(again[-1][1], examples[-1][1])
    (tmp_path / "separator-any.keras").write_bytes(b"others")
    estimated_features.estimated_examples(root, "train", "drums", 0, **options)
    assert Loud.analysed == len(examples) + len(songs)  # other weights estimate again
