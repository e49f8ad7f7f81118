"""Mask refinement: it begins with Wiener masks that add up, has the evidence it claims, and learns; the rest stays."""

import dataclasses
import json

import keras
import numpy as np
import pytest
from keras import ops

from audio_processing.audio_processing import istft, stft
from common.files import sha256_of
from ddsp_models.separation import mask_refinement, separators
from ddsp_models.separation.analysis_network import ParametricSeparator, Sizes, wiener_masks
from ddsp_models.separation.mask_refinement import RefinedMasks, RefinedSizes
from ddsp_models.separation.song_crops import SongCrops
from ddsp_models.separation.train import REFINEMENT as TRAINER
from ddsp_models.separation.train_separator import SeparatorTraining
from tests.helpers import (
    ANALYSIS,
    REFINEMENT,
    array,
    export,
    make_song,
    noise,
    refused,
    reloaded,
    stacked,
    trio,
    untrained,
)
from training.loop import read_log
from training.weights import WeightsError

SMALL, SIZES = Sizes(**ANALYSIS), RefinedSizes(**REFINEMENT)
SHORT = SeparatorTraining(seconds=0.5, batch_size=2, steps=2, steps_per_epoch=1, taught_until=0.0)


def built(seed=1, corrects=0.0):
    """An untrained network; `corrects` is the size of the corrections that it makes up."""
    model = untrained(RefinedMasks, SIZES, seed=seed)
    kernel = model.correct.kernel
    kernel.assign(corrects * noise(*kernel.shape, seed=seed))
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = export(built(corrects=0.1), tmp_path_factory.mktemp("weights"), "separator-one_artist_refined")
    return export(untrained(ParametricSeparator, SMALL), folder, "separator-plain")


@pytest.fixture(autouse=True)
def uncompiled(monkeypatch):
    """A few windows take less than compiling."""

    def compile(self, **settings):
        keras.Model.compile(self, **{**settings, "jit_compile": False, "run_eagerly": True})

    monkeypatch.setattr(RefinedMasks, "compile", compile)
    monkeypatch.setattr(separators, "compiled", lambda function: function)


def test_without_corrections_masks_are_wieners_and_with_them_they_still_add_up():
    spectra, parts = np.abs(noise(2, 3, 5, SIZES.n_frequencies)), noise(2, 2, 5, SIZES.n_frequencies, seed=1)
    straight, across = map(array, built().masks(*parts, spectra))
    np.testing.assert_allclose(straight, wiener_masks(ops.convert_to_tensor(spectra), SIZES.exponent), atol=1e-6)
    assert not across.any()
    straight, across = map(array, built(corrects=0.5).masks(*parts, spectra))
    assert np.abs(across).max() > 0.1  # something was corrected
    np.testing.assert_allclose(straight.sum(axis=1), 1.0, atol=1e-4)
    np.testing.assert_allclose(across.sum(axis=1), 0.0, atol=1e-4)


def test_two_exact_magnitudes_determine_the_phase_sensitive_mask():
    a, b = (noise(2, 1, 4, 513) + 1j * noise(2, 1, 4, 513, seed=1)) / np.sqrt(2)
    mixture = a + b
    spectra = np.abs(np.stack([a, b, 0 * a], axis=-1))
    features, _ = built().evidence(
        *(ops.convert_to_tensor(part.astype(np.float32)) for part in (mixture.real, mixture.imag)),
        ops.convert_to_tensor(spectra.astype(np.float32)),
    )
    cosines = ops.convert_to_numpy(features)[..., 7:9]  # after the logarithms and the ratios
    true = np.real(np.stack([a, b], axis=-1) / mixture[..., None])
    loud = (np.abs(mixture) > 0.3)[..., None] & (np.abs(true - 0.5) < 1.4)
    assert loud.mean() > 0.5
    np.testing.assert_allclose(cosines[loud[..., 0]], np.clip(true, -1, 2)[loud[..., 0]], atol=0.01)


def test_the_separator_divides_as_the_network_does_in_training(folder):
    separator = separators.RefinedSeparator.load(folder=folder)
    mixture, s = sum(trio(1.0).values()), SIZES
    found = separator.analyse(mixture)
    inputs = {"mixture": mixture[None], "f0": found["f0"][None], "taught": np.ones((1, 1), np.float32)}
    outputs = separator.refinement(inputs)
    expected = array(outputs["real"])[0] + 1j * array(outputs["imaginary"])[0]
    level = np.sqrt(np.mean(mixture**2))
    heard = stft(found["stems"], s.n_fft, s.mask_hop) / (level * separator.model.window_norm)
    inside = slice(4, -4)  # frames that the edges of the window do not reach
    again = istft(np.swapaxes(expected, 1, 2), s.mask_hop, length=len(mixture))
    np.testing.assert_allclose(
        heard[..., inside], stft(again, s.n_fft, s.mask_hop)[..., inside], atol=1e-3 * np.abs(heard).max()
    )


def test_a_steady_tone_does_not_turn_and_a_click_is_where_it_is():
    hop, n_fft = SIZES.mask_hop, SIZES.n_fft
    steady = stft(np.cos(2 * np.pi * 32 / n_fft * np.arange(8 * n_fft)).astype(np.float32), n_fft, hop)
    click = np.zeros(8 * n_fft, np.float32)
    click[16 * hop] = 1.0  # in the middle of the 16th frame
    for signal, axis, per_bin, at in (
        (steady, 1, 2 * np.pi * hop / n_fft, (slice(10, 20), slice(32, 33))),
        (stft(click, n_fft, hop), 2, None, (slice(16, 17), slice(1, None))),
    ):
        parts = (ops.convert_to_tensor(np.float32(part.T[None])) for part in (signal.real, signal.imag))
        cosine, sine = np.moveaxis(
            ops.convert_to_numpy(mask_refinement.phase_change(*parts, axis, per_bin))[0][at], -1, 0
        )
        np.testing.assert_allclose(cosine, 1.0, atol=1e-3)
        np.testing.assert_allclose(sine, 0.0, atol=0.03)


def test_stems_add_up_follow_the_gain_and_are_silent_where_nothing_is(folder):
    separator = separators.RefinedSeparator.load(folder=folder)
    mixture = sum(trio(9.0).values())
    stems = separator.separate(mixture)
    assert all(stem.shape == mixture.shape for stem in stems.values())
    np.testing.assert_allclose(sum(stems.values()), mixture, atol=1e-5)
    plain = separators.MaskedSeparator(separator.model, SIZES.exponent).separate(mixture)
    assert max(np.abs(stems[s] - plain[s]).max() for s in stems) > 1e-3  # they are not the plain masks
    louder = stacked(separator.separate(4 * mixture))
    np.testing.assert_allclose(louder, 4 * stacked(stems), atol=1e-4 * np.abs(mixture).max())
    assert not any(stem.any() for stem in separator.separate(np.zeros(20000, np.float32)).values())


def test_a_network_of_another_kind_is_named(folder):
    refused(
        "expected a RefinedMasks, got a ParametricSeparator",
        separators.RefinedSeparator.load,
        "plain",
        folder,
        error=WeightsError,
    )


def test_corrections_are_learned_and_the_analysis_network_is_not(tmp_path):
    model = built()
    model.compile(optimizer=keras.optimizers.Adam(1e-2))
    inputs, targets = SongCrops([make_song()], SHORT, SIZES.hop)[0]
    before = [ops.convert_to_numpy(weight).copy() for weight in model.separator.weights]
    losses = [model.train_on_batch(inputs, targets, return_dict=True)["loss"] for _ in range(8)]
    assert losses[-1] < losses[0] - 0.05
    assert all(np.array_equal(a, ops.convert_to_numpy(b)) for a, b in zip(before, model.separator.weights))
    again = reloaded(model, tmp_path)
    np.testing.assert_allclose(again(inputs)["imaginary"], model(inputs)["imaginary"], atol=1e-5)


@pytest.mark.slow
def test_a_run_is_initialised_from_a_separator_and_resumes(tmp_path, folder):
    songs = [make_song()], [make_song(80.0, 300.0)]
    start = folder / "separator-plain.keras"
    TRAINER.train(SHORT, SIZES, *songs, tmp_path, start)
    refined = TRAINER.train(dataclasses.replace(SHORT, steps=3), SIZES, *songs, tmp_path, start)
    assert [row["epoch"] for row in read_log(tmp_path / "log.csv")] == ["0", "1", "2"]
    plain = keras.saving.load_model(start, compile=False)
    for ours, theirs in zip(refined.separator.weights, plain.weights):
        np.testing.assert_array_equal(ops.convert_to_numpy(ours), ops.convert_to_numpy(theirs))
    assert json.loads((tmp_path / "settings.json").read_text())["start_sha256"] == sha256_of(start)


def test_frames_that_do_not_fit_the_window_are_refused():
    refused("every: expected .* got 3 · 128 samples", RefinedSizes, every=3)
