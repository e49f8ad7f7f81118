"""What several tests share."""

import os
from pathlib import Path

import numpy as np
import pytest

from audio_processing.audio_processing import save
from audio_processing.tracks import SOURCES

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared():
    """The folder of real audio that lies beside the checkout where the course is developed; see AUDIO.md there."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("real audio (../shared) is not here")
    return folder


def make_tree(root, *, songs=2, seconds=2.0, sample_rate=16000, subset="train", channels=2, seed=0):
    """A tiny dataset in MUSDB18-HQ layout: coloured noise stems, `songs` of them."""
    rng = np.random.default_rng(seed)
    for i in range(songs):
        stems = {
            source: (0.1 * rng.standard_normal((channels, int(seconds * sample_rate)))).astype(np.float32)
            for source in SOURCES
        }
        folder = root / subset / f"Artist - Song {i}"
        for name, audio in {**stems, "mixture": sum(stems.values())}.items():
            save(folder / f"{name}.wav", audio, sample_rate)
    return root


@pytest.fixture
def tree(tmp_path):
    """A dataset of two songs of 2 s at 16 kHz, stereo."""
    return make_tree(tmp_path / "tree")
