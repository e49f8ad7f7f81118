"""Separators made of a parametric separator and decoders: what they take, what they give, and what is told them."""

import dataclasses
import itertools
import types

import numpy as np
import pytest

from audio_processing.audio_processing import fix_length, stft
from audio_processing.tracks import TRIO as SOURCES
from audio_processing.tracks import tracks
from ddsp_models.features import PITCHED, STRUCK
from ddsp_models.separation import oracle_substitution, separators, tune_masks
from ddsp_models.separation.analysis_network import ParametricSeparator, Sizes
from tests.helpers import ANALYSIS, array, export, make_tree, refused, small_decoder, stacked, tone, untrained
from tests.helpers import trio as song

SMALL = Sizes(**ANALYSIS)


@pytest.fixture(scope="module", autouse=True)
def uncompiled():
    """A few windows take less than compiling."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(separators, "compiled", lambda function: function)
        yield


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A folder with an untrained separator and untrained decoders."""
    folder = export(untrained(ParametricSeparator, SMALL), tmp_path_factory.mktemp("weights"), "separator-one_artist")
    for source in SOURCES:
        export(small_decoder(source, outline=True), folder, f"band-{source}")
    return folder


@pytest.fixture(scope="module")
def masked(weights):
    return separators.MaskedSeparator.load("one_artist", weights)


@pytest.mark.parametrize("n_fft", [512, 2048])
def test_stems_add_up_with_any_window_and_exponent(masked, n_fft):
    separator = separators.MaskedSeparator(masked.model, power=1.6, n_fft=n_fft)
    mixture = sum(song(9.0).values())
    stems = separator.separate(mixture)
    np.testing.assert_allclose(sum(stems.values()), mixture, atol=1e-5)
    refused("n_fft: expected a multiple of 256, got 1000", separators.MaskedSeparator, masked.model, n_fft=1000)


def test_harmonics_stand_out_of_noise_more_in_a_longer_window(masked):
    model, frames = masked.model, np.full((1, 3, 2), 200.0, np.float32)
    outlines = {"harmonics": np.ones((1, 3, 8), np.float32), "noise": np.zeros((1, 3, 6), np.float32)}
    controls = {"drums": {"bands": np.zeros((1, 3, 12), np.float32)}, "bass": outlines, "vocals": outlines}
    peaks = [array(model.spectra(controls, frames, n_fft))[0, 1, 1].max() for n_fft in (1024, 4096)]
    assert peaks[1] / peaks[0] == pytest.approx(2.0, rel=1e-3)


def test_what_is_given_is_used(masked):
    stems = song()
    mixture = sum(stems.values())
    f0 = np.tile(np.array([[110.0, 440.0]], np.float32), (len(mixture) // 128 + 1, 1))
    found = oracle_substitution.masked(masked, mixture, f0=f0)
    window = masked.analyse(mixture, f0=f0)
    assert np.array_equal(window["f0"], f0)
    np.testing.assert_allclose(stacked(found), window["stems"], atol=1e-5)
    loudness = np.full((len(mixture) // 64 + 1, 3), -30.0, np.float32)
    loudness[:, 1] = -120.0
    told = oracle_substitution.masked(masked, mixture, f0=f0, loudness=loudness)
    energy = {source: np.mean(stem**2) for source, stem in told.items()}
    assert energy["bass"] < 1e-4 * max(energy.values())
    np.testing.assert_allclose(sum(told.values()), mixture, atol=1e-5)


def test_the_truth_has_a_frame_for_each_of_the_networks(masked):
    known = {f"loudness_{source}": np.linspace(-60, -20, 500) for source in SOURCES}
    for source in ("bass", "vocals"):
        known |= {f"f0_{source}": np.arange(500) + 100.0, f"voiced_{source}": np.arange(500) >= 100}
    truth = oracle_substitution.truth(known, SMALL, 32000)
    assert truth["f0"].shape == (251, 2) and truth["loudness"].shape == (501, 3)
    assert truth["f0"][10].tolist() == [0, 0] and truth["f0"][60].tolist() == [220, 220]
    described = masked.describe(sum(song(2.0).values()), **truth)
    np.testing.assert_allclose(described["vocals"]["loudness"][:, 0], truth["loudness"][:500, 2], atol=1e-4)
    assert described["bass"]["f0"][150, 0] == pytest.approx(250.0, abs=1.0)
    refused("annotations: expected f0_bass, got none", oracle_substitution.truth, {}, SMALL, 32000)


@pytest.mark.slow
def test_every_substitution_is_scored(masked, weights):
    class Known:
        def stems(self, sample_rate, mono, sources):
            return {source: stem for source, stem in song(1.0).items() if source in sources}

        def annotations(self):
            known = {f"loudness_{source}": np.full(250, -30.0) for source in SOURCES}
            for source, f0 in (("bass", 110.0), ("vocals", 440.0)):
                known |= {f"f0_{source}": np.full(250, f0), f"voiced_{source}": np.ones(250, bool)}
            return known

    decoders = separators.load_decoders("band", SOURCES, weights)
    records = oracle_substitution.song_records(Known(), masked, decoders, estimator=masked)
    found = {(record["system"], record["metric"]) for record in records}
    masks = {"ddsp_masked", "ddsp_masked@true_f0", "ddsp_masked@true_loudness", "ddsp_masked@true_both", "irm"}
    masks |= {"irm@same_masks", "ddsp_masked@true_outlines", "ddsp_masked@decoders_true_features"}
    assert {(system, "si_sdr") for system in masks} <= found
    played = {"ddsp_resynthesis", "ddsp_resynthesis@band", "ddsp_resynthesis@true_both", "ddsp_features"}
    assert {(system, metric) for system in played for metric in ("spectral_loss", "loudness_l1")} <= found
    values = {(r["system"], r["source"]): r["value"] for r in records if r["metric"] == "si_sdr"}
    assert all(values["irm", source] > values["ddsp_masked", source] for source in ("bass", "vocals"))
    listeners = {"taught": (masked, True), "untrained": (oracle_substitution.untrained(SMALL, 1.0, 2048), False)}
    through = oracle_substitution.through_synthesisers(Known(), listeners, decoders)
    assert {record["system"] for record in through} == {"taught_true_f0", "untrained_true_f0"}


def test_outlines_can_be_fitted_to_true_stems(masked):
    """Sounds that outlines can draw are drawn: a row of harmonics below its pitch, noise, and nothing in silence."""
    n = np.arange(32000) / 16000
    voice = sum(np.sin(2 * np.pi * 440 * k * n) / k for k in range(1, 12))
    stems = np.stack([0.1 * np.random.default_rng(0).standard_normal(32000), 0 * n, voice]).astype(np.float32)
    f0 = np.tile(np.array([0.0, 440.0], np.float32), (251, 1))
    spectra = oracle_substitution.fitted_spectra(masked.model, stems, f0, SMALL.n_fft)
    true = np.abs(stft(stems, SMALL.n_fft, SMALL.hop))
    assert spectra.shape == true.shape
    middle = slice(40, 200)
    for i, most in ((0, 0.6), (2, 0.5)):  # a noise has holes that no outline has; main lobes are no Gaussians
        apart = np.abs(spectra[i, :, middle] - true[i, :, middle]).sum() / true[i, :, middle].sum()
        assert apart < most
    assert spectra[1].max() < 1e-3 * true.max()
    harmonic, between = (int(round(f * SMALL.n_fft / 16000)) for f in (880, 1100))
    assert (spectra[2, harmonic, middle] > 3 * spectra[2, between, middle]).all()


def test_nothing_is_measured_where_every_number_is_to_be_the_networks(masked):
    mixture = sum(song(2.0).values())
    f0 = np.tile(np.array([110.0, 440.0], np.float32), (251, 1))
    features = masked.analyse(fix_length(mixture, 128000), fix_length(f0.T, 1001).T)["features"]
    own = masked.describe(mixture, f0, measured=False)
    level = 20 * np.log10(np.sqrt(np.mean(fix_length(mixture, 128000) ** 2)))
    loud = features["loudness"][:480, 2] > level - 57
    np.testing.assert_allclose(own["vocals"]["loudness"][:480, 0][loud], features["loudness"][:480, 2][loud], atol=1e-3)
    other = masked.describe(mixture, f0)
    assert np.abs(own["vocals"]["loudness"] - other["vocals"]["loudness"]).max() > 0.1


def test_three_voices_no_drums_and_silence_have_a_defined_result(masked, weights):
    voices = sum(0.05 * tone(f0, 2.0) for f0 in (220.0, 277.2, 329.6))
    played = separators.ResynthesisSeparator.load("one_artist", "band", weights)
    for mixture in (voices, np.zeros(20000, np.float32), np.zeros(1, np.float32)):
        for separator in (masked, played):
            stems = separator.separate(mixture)
            assert tuple(stems) == SOURCES
            assert all(x.shape == mixture.shape and np.isfinite(x).all() for x in stems.values())
            if not mixture.any():
                assert not any(x.any() for x in stems.values())
            elif separator is not played:
                np.testing.assert_allclose(sum(stems.values()), mixture, atol=1e-5)


def test_resynthesis_has_the_mixtures_shape_and_plays_a_chunk_at_a_time(weights):
    played = separators.ResynthesisSeparator.load("one_artist", "band", weights)
    played.chunk_seconds, played.lengths = 1.0, []
    describe = played.describe
    played.describe = lambda audio: played.lengths.append(len(audio)) or describe(audio)
    mixture = np.stack([np.resize(sum(song(1.0).values()), 100000)] * 2)
    stems = played.separate(mixture, 44100)
    assert all(x.shape == mixture.shape and x.dtype == np.float32 for x in stems.values()) and stems["drums"].any()
    assert len(played.lengths) == 3 and max(played.lengths) <= 16000


def test_a_chain_of_conv_tasnet_and_decoders_describes_its_stems(weights):
    class Known:
        sources, sample_rate = SOURCES, 16000

        def separate(self, mixture):
            return {source: stem[: len(mixture)] for source, stem in song(1.0).items()}

    chain = separators.ChainSeparator(Known(), separators.load_decoders("band", SOURCES, weights))
    described = chain.describe(sum(song(1.0).values()))
    assert abs(1200 * np.log2(np.median(described["bass"]["f0"]) / 110.0)) < 20
    assert set(described["drums"]) >= set(STRUCK) and set(described["vocals"]) >= set(PITCHED)
    stems = chain.separate(sum(song(1.0).values()))
    assert all(stem.shape == (16000,) and stem.any() for stem in stems.values())


def test_a_source_without_a_decoder_is_named():
    refused(
        "sources: expected some of drums, bass, vocals, got other", separators.load_decoders, "band", ("drums", "other")
    )


def test_masks_of_sounds_divide_by_their_magnitudes():
    sounds = np.stack([tone(200.0), 3 * tone(200.0)])
    masks = separators.decoded_masks(sounds, 1024, 128, power=2.0)
    np.testing.assert_allclose(masks.sum(axis=0), 1.0, atol=1e-5)
    assert masks[1, 13, 60] == pytest.approx(0.9, abs=1e-3)  # at the first harmonic


def test_the_best_window_and_exponent_are_those_with_the_highest_mean():
    rows = [
        {"system": "ddsp_masked", "n_fft": n_fft, "power": power, "value": n_fft / 1024 - abs(power - 1.3) + noise}
        for (n_fft, power), noise in itertools.product(itertools.product((1024, 2048), (1.0, 1.3)), (-0.2, 0.2))
    ]
    assert tune_masks.best(rows) == {"n_fft": 2048, "power": 1.3}


def test_masks_are_tuned_on_songs_that_are_in_no_test_set(tmp_path, monkeypatch):
    band = make_tree(tmp_path / "validation", seconds=1.0, subset="test")
    songs = tune_masks.validation_songs("one_artist", SMALL, lambda songs: (tmp_path / songs[0], songs[1]))
    assert list(songs) == [song.name for song in tracks(band, "test")]
    assert all(stems.shape == (len(SMALL.sources), 16000) for stems in songs.values())
    song = types.SimpleNamespace(stems=np.zeros((4, 10)))
    monkeypatch.setattr(tune_masks, "recorded_songs", lambda sizes, root, part: [song] if part == "validation" else [])
    assert tune_masks.validation_songs("air_traffic", SMALL, lambda songs: songs)["air_traffic"] is song.stems


def test_a_pitched_source_is_measured_as_its_decoder_takes_it(masked):
    n = 128000
    window = {
        "f0": np.tile([55.0, 0.0], (n // 128 + 1, 1)),
        "features": {name: np.full((2002, 3, 16)[: 2 + (name == "bands")], -20.0) for name in ("loudness", "bands")},
        "stems": np.stack([np.zeros(n), 0.1 * tone(55.0, 8.0, harmonics=1), np.zeros(n)]).astype(np.float32),
    }
    window["features"]["onset"] = np.zeros((2002, 1))
    window["f0"][500:, 0] = 0.0  # the last note ends after 4 s, its sound does not
    found = masked._for_decoders(window, 0.1)
    assert found["bands"][900, 1].argmax() == 1  # 40 Hz · 2^(1/2): octaves, as the bass's decoder wants them
    assert (found["bands"][:, 0] == -20).all() and (found["loudness"][:, 0] == -20).all()  # drums: the network's
    assert (found["loudness"][:2000, 2] == -80).all()
    before, after = found["loudness"][900, 1], found["loudness"][1200:2000, 1]
    assert -40 < before < -21 and (after == -20).all()  # measured in the stem; without a note, the network's again
    assert (masked._for_decoders(window, 1.0)["loudness"][1200:2000, 1] == -80).all()  # 24 dB below the mixture
    assert (masked._for_decoders(window, 1e6)["bands"] == -80).all()
    taught = separators.MaskedSeparator(masked.model)
    sizes = dataclasses.replace(SMALL, heard_as="decoders")
    taught.model = type("Model", (), {"sizes": sizes})  # it learned the bands of the bass's decoder
    found = taught._for_decoders(window, 0.01)
    assert (found["bands"][:, 1] == -20).all() and found["loudness"][900, 1] == before


def test_frames_since_the_last_note():
    assert separators.frames_since(np.array([False, True, True, False, False])).tolist() == [np.inf, 0, 0, 1, 2]
