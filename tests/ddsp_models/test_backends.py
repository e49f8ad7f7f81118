"""Listener and decoders: what ships sounds the same on every backend, and trains there; each in a process of its own.

A backend that is not installed is skipped; `pip install jax` or `pip install torch` brings it in.
"""

import keras
import numpy as np
import pytest

from tests.helpers import make_tree, process, trio

BACKENDS = ("tensorflow", "jax", "torch")
SEPARATE = """
import sys
import keras
import numpy as np
from ddsp_models.separation import separators

assert keras.backend.backend() == sys.argv[2]
separators.MaskedSeparator.chunk_seconds = 2.0  # PyTorch does not compile
player = separators.ResynthesisSeparator.load("one_artist_played", decoders="band")
mixture = np.load(sys.argv[1] + "/mixture.npy")
found = {f"masked {name}": stem for name, stem in player.separator.separate(mixture).items()}
found |= {f"played {name}": stem for name, stem in player.separate(mixture).items()}
found |= {f"corrected {name}": stem for name, stem in separators.RefinedSeparator.load().separate(mixture).items()}
np.savez(f"{sys.argv[1]}/{sys.argv[2]}.npz", **found)
"""
TRAIN = """
import dataclasses, sys
from pathlib import Path
import keras
import numpy as np
from ddsp_models import train_decoder
from ddsp_models.autoencoder import Settings
from ddsp_models.features import STRUCK
from ddsp_models.separation import train_separator
from ddsp_models.separation.analysis_network import Sizes
from ddsp_models.separation.mask_refinement import RefinedSizes
from tests.helpers import ANALYSIS, DECODER, REFINEMENT, make_song

eight = train_decoder.DecoderTraining(seconds=0.2, batch_size=2, steps=8, steps_per_epoch=2, warmup=2)
two = train_separator.SeparatorTraining(seconds=0.5, batch_size=2, steps=2, steps_per_epoch=1)
drums = Settings(STRUCK, n_harmonics=0, **DECODER)
data, runs = Path(sys.argv[1]) / "songs", Path(sys.argv[1]) / keras.backend.backend()
examples = [train_decoder.band_examples(drums, data / name, subset, "drums") for name, subset in train_decoder.ONE]
decoder = train_decoder.train(eight, drums, *examples, runs / "decoder")
songs = [make_song()], [make_song(80.0, 300.0)]
separator = train_separator.train(two, Sizes(**ANALYSIS), *songs, runs / "separator")
start, network = runs / "separator" / "best.keras", train_separator.refinement
refined = train_separator.train(two, RefinedSizes(**REFINEMENT), *songs, runs / "refined", start, network=network)
for model, run in ((decoder, "decoder"), (separator, "separator"), (refined, "refined")):
    assert all(np.isfinite(np.asarray(keras.ops.convert_to_numpy(w))).all() for w in model.weights), run
    losses = np.loadtxt(runs / run / "log.csv", delimiter=",", skiprows=1)
    assert np.isfinite(losses).all() and len(losses) == {"decoder": 4, "separator": 2, "refined": 2}[run]
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_what_ships_sounds_the_same(backend, tmp_path):
    if backend == keras.backend.backend():
        pytest.skip(f"{backend} is the one that the others are compared with")
    mixture = sum(trio(2.0).values())
    np.save(tmp_path / "mixture.npy", mixture)
    process(backend, SEPARATE, tmp_path, backend)
    process(keras.backend.backend(), SEPARATE, tmp_path, keras.backend.backend())
    with np.load(tmp_path / f"{backend}.npz") as found, np.load(tmp_path / f"{keras.backend.backend()}.npz") as ours:
        assert len(ours.files) == 9
        for name in ours.files:
            assert np.abs(ours[name]).max() > 1e-3, name
            np.testing.assert_allclose(found[name], ours[name], atol=1e-4, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_separator_refinement_and_decoder_train(backend, tmp_path):
    if backend == keras.backend.backend():
        pytest.skip(f"{backend} is the one of the other tests")
    make_tree(tmp_path / "songs" / "one_artist", seconds=1.0)
    make_tree(tmp_path / "songs" / "validation", songs=1, seconds=4.0, subset="test", seed=1)
    process(backend, TRAIN, tmp_path)
