"""Listener and decoders: what ships sounds the same on every backend, and trains there; each in a process of its own.

A backend that is not installed is skipped; `pip install jax` or `pip install torch` brings it in.
"""

import keras
import numpy as np
import pytest
from tests.ddsp_models.separation.test_separators import song

from tests.conftest import make_tree
from tests.mss_nn_implementation.test_backends import process

BACKENDS = ("tensorflow", "jax", "torch")
SEPARATE = """
import sys
import keras
import numpy as np
from ddsp_models import separators

assert keras.backend.backend() == sys.argv[2]
separators.MaskedSeparator.window_seconds = 2.0  # PyTorch does not compile
player = separators.ResynthesisSeparator("one_artist_played", decoders="band")
mixture = np.load(sys.argv[1] + "/mixture.npy")
found = {f"masked {name}": stem for name, stem in player.listener.separate(mixture).items()}
found |= {f"played {name}": stem for name, stem in player.separate(mixture).items()}
found |= {f"corrected {name}": stem for name, stem in separators.RefinedSeparator().separate(mixture).items()}
np.savez(f"{sys.argv[1]}/{sys.argv[2]}.npz", **found)
"""
TRAIN = """
import dataclasses, sys
from pathlib import Path
import keras
import numpy as np
from ddsp_models import train, train_refined, train_separator
from tests.ddsp_models.separation.test_analysis_network import make_song
from tests.ddsp_models.separation.test_analysis_network import SMALL as LISTENER
from tests.ddsp_models.test_refined import SIZES as CORRECTOR
from tests.ddsp_models.test_train import SHORT, SMALL
from tests.ddsp_models.test_train_separator import SHORT as LISTENING

data, runs = Path(sys.argv[1]) / "songs", Path(sys.argv[1]) / keras.backend.backend()
decoder = train.train("band-drums", SMALL, SHORT, runs / "decoder", data)
listener = train_separator.train(LISTENING, LISTENER, [make_song()], [make_song(80.0, 300.0)], runs / "listener")
songs = [make_song()], [make_song(80.0, 300.0)]
corrector = train_refined.train(LISTENING, CORRECTOR, *songs, runs / "corrector", runs / "listener" / "best.keras")
for model, run in ((decoder, "decoder"), (listener, "listener"), (corrector, "corrector")):
    assert all(np.isfinite(np.asarray(keras.ops.convert_to_numpy(w))).all() for w in model.weights), run
    losses = np.loadtxt(runs / run / "log.csv", delimiter=",", skiprows=1)
    assert np.isfinite(losses).all() and len(losses) == {"decoder": 4, "listener": 2, "corrector": 2}[run]
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_what_ships_sounds_the_same(backend, tmp_path):
    if backend == keras.backend.backend():
        pytest.skip(f"{backend} is the one that the others are compared with")
    mixture = sum(song(2.0).values())
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
def test_listener_and_decoder_train(backend, tmp_path):
    if backend == keras.backend.backend():
        pytest.skip(f"{backend} is the one of the other tests")
    make_tree(tmp_path / "songs" / "one_artist", seconds=1.0)
    make_tree(tmp_path / "songs" / "validation", songs=1, seconds=4.0, subset="test", seed=1)
    process(backend, TRAIN, tmp_path)
