"""Oracle masks: they add up, they bound what they should bound, and bad stems are refused by name."""

import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio_processing.audio_processing import istft, resample, stft
from audio_processing.masks import (
    _wiener,
    binary_masks,
    ibm,
    irm,
    masked_channels,
    mwf,
    psm,
    ratio_masks,
    wiener_masks,
)
from audio_processing.metrics import snr
from tests.helpers import noise, refused, stacked, tone

ORACLES = {
    "ibm": ibm,
    "irm": irm,
    "irm@power": lambda stems, **sizes: irm(stems, power=2, **sizes),
    "mwf": mwf,
}
refusing = pytest.mark.parametrize("oracle", [*ORACLES.values(), psm], ids=[*ORACLES, "psm"])
oracles = pytest.mark.parametrize("oracle", ORACLES.values(), ids=ORACLES)


def band(*shape, seed=0):
    """Four stems of different colour: clicks, a low tone, a chord, a gliding tone, each with some noise."""
    rng = np.random.default_rng(seed)
    n = np.arange(shape[-1])
    bodies = {
        "drums": (n % 4000 < 60) * rng.normal(size=shape[-1]),
        "bass": np.sin(2 * np.pi * 80 * n / 16000),
        "other": sum(np.sin(2 * np.pi * f * n / 16000) for f in (440, 554, 659)) / 3,
        "vocals": np.sin(2 * np.pi * (900 + 100 * np.sin(n / 2000)) * n / 16000),
    }
    gains = rng.uniform(0.2, 0.8, (4, *shape[:-1], 1)) if len(shape) > 1 else np.ones((4, 1))
    return {
        source: (0.2 * gain * body + 0.003 * rng.normal(size=shape)).astype(np.float32)
        for (source, body), gain in zip(bodies.items(), gains)
    }


def error(parts, whole):
    return np.abs(sum(parts.values()) - whole).max()


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5), st.floats(0.1, 20), st.integers(0, 999))
def test_ratio_masks_add_up_to_one(sources, power, seed):
    rng = np.random.default_rng(seed)
    magnitudes = {str(j): rng.exponential(size=(9, 7)) * (rng.uniform(size=(9, 7)) > 0.3) for j in range(sources)}
    masks = ratio_masks(magnitudes, power)
    np.testing.assert_allclose(sum(masks.values()), 1, atol=1e-12)
    assert all((mask >= 0).all() for mask in masks.values())


def test_ratio_mask_of_power_two_is_librosas_softmask():
    s, rest = np.random.default_rng(0).exponential(size=(2, 20, 30)).astype(np.float32)
    for power in (1, 2):
        mask = ratio_masks({"s": s, "rest": rest}, power)["s"]
        np.testing.assert_allclose(mask, librosa.util.softmask(s, rest, power=power), atol=1e-6)


def test_binary_masks_are_zeros_and_ones_that_add_up_to_one():
    sounds = np.random.default_rng(0).exponential(size=(3, 40, 30)).round(1)  # rounding makes ties
    magnitudes = dict(zip("abc", sounds))
    masks = binary_masks(magnitudes)
    assert set(np.unique(list(masks.values()))) == {0, 1}
    np.testing.assert_array_equal(sum(masks.values()), 1)


def test_ratio_masks_approach_the_binary_mask():
    rng = np.random.default_rng(0)
    magnitudes = {name: rng.exponential(size=1000).astype(np.float32) for name in "abc"}
    hard = binary_masks(magnitudes)["a"]
    distance = [np.abs(ratio_masks(magnitudes, power)["a"] - hard).mean() for power in (1, 2, 10, 1000)]
    assert distance == sorted(distance, reverse=True) and distance[-1] < 0.002  # 1000: no overflow on the way


def test_binary_masks_by_majority_are_those_of_sisec():
    stems = band(2, 9000)
    mixed = stft(sum(stems.values()), 512, 256)
    estimates = ibm(stems, n_fft=512, hop_length=256, threshold=0.5)
    for source, stem in stems.items():
        mask = np.abs(stft(stem, 512, 256)) / np.abs(mixed) >= 0.5
        np.testing.assert_allclose(estimates[source], istft(mask * mixed, 256, length=9000), atol=1e-6)
    assert not ibm({"a": np.zeros(3000), "b": np.ones(3000)}, threshold=0.5)["a"].any()


@oracles
@pytest.mark.parametrize("shape", [(1,), (333,), (8000,), (1, 5000), (2, 8001), (3, 4000)])
def test_estimates_have_the_stems_shape_and_add_up_to_the_mixture(oracle, shape):
    stems = band(*shape)
    estimates = oracle(stems)
    assert list(estimates) == list(stems)
    assert all(estimate.shape == shape and estimate.dtype == np.float32 for estimate in estimates.values())
    assert error(estimates, sum(stems.values())) < 1e-5


@oracles
def test_an_oracle_beats_the_mixture_on_every_stem(oracle):
    stems = band(2, 32000)
    mixture = sum(stems.values())
    estimates = oracle(stems)
    for source, stem in stems.items():
        assert snr(stem, estimates[source]) > snr(stem, mixture) + 5


@oracles
def test_sources_that_share_no_bin_come_back_whole(oracle):
    window = 0.3 * np.hanning(16000)
    stems = {name: window * tone(f, harmonics=1) for name, f in (("bass", 250), ("vocals", 4000))}
    estimates = oracle(stems)
    assert min(snr(stem, estimates[name]) for name, stem in stems.items()) > 40


@oracles
def test_a_silent_stem_gets_silence_and_the_others_everything(oracle):
    stems = band(2, 9000) | {"other": np.zeros((2, 9000), np.float32)}
    estimates = oracle(stems)
    assert np.abs(estimates["other"]).max() < 1e-6
    assert error(estimates, sum(stems.values())) < 1e-5


@oracles
def test_silence_separates_into_silence(oracle):
    assert not stacked(oracle({name: np.zeros((2, 3000), np.float32) for name in ("drums", "bass")})).any()


@oracles
def test_louder_in_is_louder_out(oracle):
    stems = band(2, 9000)
    quiet, loud = oracle(stems), oracle({source: 4 * stem for source, stem in stems.items()})
    np.testing.assert_allclose(stacked(loud), 4 * stacked(quiet), atol=1e-5)


@oracles
def test_a_mixture_given_is_the_one_that_is_separated(oracle):
    stems = band(2, 6000)
    mixture = sum(stems.values()) + 0.1 * np.random.default_rng(9).normal(size=(2, 6000)).astype(np.float32)
    assert error(oracle(stems, mixture=mixture), mixture) < 1e-5


@oracles
def test_one_source_is_the_mixture(oracle):
    stem = band(2, 5000)["vocals"]
    assert np.abs(oracle({"vocals": stem})["vocals"] - stem).max() < 1e-6


def test_wiener_filter_of_one_channel_is_the_power_ratio_mask():
    stems = band(16000)
    np.testing.assert_allclose(stacked(mwf(stems)), stacked(irm(stems, power=2)), atol=1e-6)


def test_wiener_filter_uses_what_the_channels_know():
    """Two noises of one spectrum from two directions: no mask per channel can tell them apart, the matrix can."""
    left, right = np.random.default_rng(0).normal(size=(2, 32000)).astype(np.float32)
    stems = {"left": np.stack([left, 0.5 * left]), "right": np.stack([0.5 * right, right])}
    assert snr(stems["left"], irm(stems, power=2)["left"]) < 12
    assert snr(stems["left"], mwf(stems)["left"]) > 40


def test_wiener_filter_bears_equal_channels():
    mono = band(8000)
    estimates = stacked(mwf({source: np.stack([stem, stem]) for source, stem in mono.items()}))
    np.testing.assert_allclose(estimates[:, 0], stacked(irm(mono, power=2)), atol=1e-5)
    np.testing.assert_allclose(estimates[:, 1], estimates[:, 0], atol=1e-6)


def test_wiener_filter_is_the_textbook_formula():
    """One bin at a time, with the covariances written out, against the vectorised filter."""
    stems = {source: stem.astype(np.float64) for source, stem in band(2, 6000).items()}
    spectra = {source: stft(stem, 256, 64) for source, stem in stems.items()}
    k, t = 20, 30
    covariance = {}
    for source, spectrum in spectra.items():
        vectors = spectrum[:, k, :]
        spatial = np.mean(
            [np.outer(s, s.conj()) / np.mean(np.abs(s) ** 2) for s in vectors.T if np.abs(s).sum() > 0], axis=0
        )
        outer = np.outer(vectors[:, t], vectors[:, t].conj())
        covariance[source] = np.trace(np.linalg.inv(spatial) @ outer).real / 2 * spatial
    observed = sum(spectra.values())[:, k, t]
    expected = covariance["bass"] @ np.linalg.inv(sum(covariance.values())) @ observed
    filtered = _wiener(stacked(spectra), sum(spectra.values()))
    np.testing.assert_allclose(filtered[1, :, k, t], expected, rtol=1e-5)


def test_power_mask_is_the_better_ratio_and_longer_windows_move_the_ceiling():
    stems = band(48000)
    mean = {}
    for n_fft in (128, 1024):
        for power in (1, 2):
            estimates = irm(stems, n_fft=n_fft, hop_length=n_fft // 4, power=power)
            mean[n_fft, power] = np.mean([snr(stems[source], estimates[source]) for source in stems])
    assert mean[1024, 2] > mean[1024, 1] > mean[128, 1]


def test_no_mask_from_zero_to_one_comes_nearer_than_the_phase_sensitive_one():
    stems = band(16000)
    spectra = {source: stft(stem, 512, 128) for source, stem in stems.items()}
    mixed = sum(spectra.values())
    best = np.clip((spectra["other"] / mixed).real, 0, 1)
    rng = np.random.default_rng(0)
    for other in (ratio_masks({s: np.abs(x) for s, x in spectra.items()})["other"], rng.uniform(size=best.shape)):
        assert (np.abs(best * mixed - spectra["other"]) <= np.abs(other * mixed - spectra["other"]) + 1e-6).all()
    ours, ratio = psm(stems, n_fft=512, hop_length=128), irm(stems, n_fft=512, hop_length=128)
    assert np.mean([snr(stems[s], ours[s]) - snr(stems[s], ratio[s]) for s in stems]) > 1


def test_phase_sensitive_masks_that_are_not_cut_add_up():
    stems = band(2, 5000)
    assert error(psm(stems, limits=None), sum(stems.values())) < 1e-4
    assert not any(part.any() for part in psm({"a": np.zeros(3000), "b": np.zeros(3000)}).values())


# --- bad input --------------------------------------------------------------------------------------------------------


@refusing
@pytest.mark.parametrize("change, name", [
    (lambda stems: stems["bass"].__setitem__((0, 5), np.nan), r"stems\['bass'\]: expected finite"),
    (lambda stems: stems["vocals"].__setitem__((1, 5), np.inf), r"stems\['vocals'\]: expected finite"),
    (lambda stems: stems.update(other=stems["other"][:, :-1]), r"stems\['other'\]: expected the shape \(2, 3000\)"),
    (lambda stems: stems.update(other=stems["other"][0]), r"stems\['other'\]: expected the shape"),
    (lambda stems: stems.update(drums=np.zeros((2, 0))), r"stems\['drums'\]: expected at least one sample"),
    (lambda stems: stems.clear(), "stems: expected at least one source"),
])  # fmt: skip
def test_bad_stems_are_refused_by_name(oracle, change, name):
    stems = band(2, 3000)
    change(stems)
    assert "\n" not in refused(f"^{name}", oracle, stems)


@refusing
def test_other_bad_arguments_are_refused_by_name(oracle):
    stems = band(2, 3000)
    refused("^mixture: expected the shape", oracle, stems, mixture=np.zeros((2, 2999)))
    refused("^mixture: expected finite", oracle, stems, mixture=np.full((2, 3000), np.nan))
    refused("^hop_length: ", oracle, stems, n_fft=512, hop_length=1024)
    refused("^n_fft: ", oracle, stems, n_fft=511, hop_length=64)


@pytest.mark.parametrize("power", [0, -1, float("nan")])
def test_irm_refuses_a_power_that_shares_nothing(power):
    refused("^power: ", irm, band(2000), power=power)


# --- a song's own channels -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("power", [0.7, 1, 2.0])
def test_wiener_masks_are_ratio_masks_where_something_sounds(power):
    magnitudes = np.abs(noise(3, 4, 5)) + 0.1
    expected = stacked(ratio_masks(dict(enumerate(magnitudes)), power))
    np.testing.assert_allclose(wiener_masks(magnitudes, power), expected, rtol=1e-6)
    np.testing.assert_allclose(
        wiener_masks(magnitudes.swapaxes(0, 1), power, axis=1), expected.swapaxes(0, 1), rtol=1e-6
    )
    np.testing.assert_allclose(wiener_masks(np.zeros((4, 2))), 0.25)


def test_shares_of_masked_channels_add_up_and_follow_the_parts():
    rate, band = 44100, 16000
    low, high = parts = np.stack([tone(hertz, 1.0, rate, harmonics=1) for hertz in (220, 3000)])
    channels = np.stack([low + 0.5 * high, 0.2 * low + high])
    stems = masked_channels(channels, parts, rate, band)
    np.testing.assert_allclose(stems.sum(axis=0), channels, atol=1e-5)
    middle = slice(4000, -4000)
    assert snr(low[middle], stems[0, 0, middle]) > 30 and snr(high[middle], stems[1, 1, middle]) > 30
    # parts known at the lower rate alone give nearly the same: what lies above is divided as what lies below
    again = masked_channels(channels, resample(parts, rate, band), rate, band, band)
    np.testing.assert_allclose(again.sum(axis=0), channels, atol=1e-5)
    assert snr(low[middle], again[0, 0, middle]) > 30 and snr(high[middle], again[1, 1, middle]) > 30


def test_what_lies_above_the_band_goes_where_the_top_of_the_band_goes():
    rate, band = 44100, 16000
    t = np.arange(rate) / rate
    high, low = (tone(hertz, 1.0, rate, harmonics=1) for hertz in (12000, 220))
    hiss = resample(noise(rate, seed=2), band, rate)[:rate] * (t >= 0.5)  # a part with treble, in the second half
    parts = np.stack([low, hiss]).astype(np.float32)
    stems = masked_channels((parts.sum(axis=0) + high)[None], parts, rate, band)
    assert snr(high[-20000:], (stems[1, 0] - parts[1])[-20000:]) > 20  # with the treble
    assert np.abs((stems[1, 0] - parts[1])[4000:18000]).max() < 0.05  # and not before
    silent = masked_channels(np.zeros((2, 999), np.float32), np.zeros((3, 999), np.float32), rate, band)
    assert silent.shape == (3, 2, 999) and not silent.any()
