"""Sound files, resampling, STFT: against librosa, soundfile and the definitions."""

from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
from hypothesis import example, given, settings
from hypothesis import strategies as st

from audio_processing import audio_processing as ap
from audio_processing import sound_files
from tests.helpers import refused


def noise(*shape, seed=0, dtype=np.float32):
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(dtype)


def tone(rate, seconds=0.5, frequency=440.0):
    return (0.5 * np.sin(2 * np.pi * frequency * np.arange(round(rate * seconds)) / rate)).astype(np.float32)


# --- STFT -------------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:n_fft=.*is too large")
@pytest.mark.parametrize(
    "n_fft, hop_length", [(2048, 512), (1024, 256), (512, 128), (1000, 300), (64, 1), (2048, 1024)]
)
@pytest.mark.parametrize("samples", [1, 63, 2048, 5000])
def test_stft_is_librosas(n_fft, hop_length, samples):
    audio = 0.1 * noise(2, samples)
    ours = ap.stft(audio, n_fft, hop_length)
    theirs = librosa.stft(audio, n_fft=n_fft, hop_length=hop_length, pad_mode="constant")
    assert ours.dtype == np.complex64
    assert ours.shape == theirs.shape == (2, 1 + n_fft // 2, 1 + samples // hop_length)
    assert np.abs(ours - theirs).max() < 1e-5


def test_stft_of_a_minute_is_librosas():
    audio = 0.1 * noise(60 * 44100)
    assert np.abs(ap.stft(audio) - librosa.stft(audio)).max() < 1e-5


def test_a_frame_is_the_dft_of_its_windowed_samples():
    audio = noise(3000, dtype=np.float64)
    n_fft, hop_length, t = 256, 64, 7
    n = np.arange(n_fft)
    segment = audio[t * hop_length - n_fft // 2 + n] * (0.5 - 0.5 * np.cos(2 * np.pi * n / n_fft))
    dft = np.exp(-2j * np.pi * np.outer(np.arange(n_fft // 2 + 1), n) / n_fft) @ segment
    np.testing.assert_allclose(ap.stft(audio, n_fft, hop_length)[:, t], dft, atol=1e-10)


def test_an_impulse_lands_in_the_frames_whose_window_covers_it():
    audio = np.zeros(10000, np.float32)
    audio[5000] = 1
    energy = np.abs(ap.stft(audio, 1024, 256)).sum(axis=0)
    centres = 256 * np.arange(energy.size)
    assert np.array_equal(energy > 1e-6, np.abs(centres - 5000) < 512)


@settings(max_examples=60, deadline=None)
@given(
    samples=st.integers(1, 9000),
    sizes=st.sampled_from([(2048, 512), (1024, 256), (512, 64), (510, 100), (6, 1)]),
    channels=st.integers(0, 3),
    seed=st.integers(0, 99),
)
@example(samples=1, sizes=(2048, 512), channels=0, seed=0)
@example(samples=2047, sizes=(2048, 512), channels=2, seed=0)
def test_istft_undoes_stft_at_any_length(samples, sizes, channels, seed):
    audio = noise(*([channels] if channels else []), samples, seed=seed)
    back = ap.istft(ap.stft(audio, *sizes), sizes[1], length=samples)
    assert back.shape == audio.shape and back.dtype == np.float32
    assert np.abs(back - audio).max() < 1e-6


@settings(max_examples=20, deadline=None)
@given(samples=st.integers(1, 5000), name=st.sampled_from(["hann", "hamming", "blackman"]))
def test_double_precision_reconstructs_to_rounding(samples, name):
    audio = noise(samples, dtype=np.float64)
    spectrum = ap.stft(audio, 512, 128, window_name=name)
    back = ap.istft(spectrum, 128, length=samples, window_name=name)
    assert spectrum.dtype == np.complex128 and np.abs(back - audio).max() < 1e-11


def test_istft_is_librosas_for_a_spectrum_that_is_no_stft():
    spectrum = ap.stft(noise(8000), 1024, 256) * noise(513, 32)  # masked: frames disagree where they overlap
    theirs = librosa.istft(spectrum, hop_length=256, length=8000)
    assert np.abs(ap.istft(spectrum, 256, length=8000) - theirs).max() < 1e-5


@pytest.mark.parametrize("length", [None, 1, 100, 8000, 12000])
def test_istft_returns_the_length_asked_for(length):
    spectrum = ap.stft(noise(2, 8000), 1024, 256)
    back = ap.istft(spectrum, 256, length=length)
    assert back.shape == (2, 256 * (spectrum.shape[-1] - 1) if length is None else length)


def test_stft_is_linear_and_silence_stays_silent():
    x, y = noise(2, 4000, dtype=np.float64)
    np.testing.assert_allclose(ap.stft(3 * x - y), 3 * ap.stft(x) - ap.stft(y), atol=1e-10)
    assert not ap.stft(np.zeros(4000)).any() and not ap.istft(np.zeros((513, 9), complex)).any()


def test_channels_are_transformed_one_by_one():
    audio = noise(2, 3, 3000)
    together = ap.stft(audio, 512, 128)
    np.testing.assert_array_equal(together[1, 2], ap.stft(audio[1, 2], 512, 128))


@pytest.mark.parametrize("n_fft, hop_length, name", [
    (1023, 256, "n_fft"), (0, 1, "n_fft"), (-2, 1, "n_fft"),
    (1024, 0, "hop_length"), (1024, 1025, "hop_length"), (1024, 513, "hop_length"), (512, 2048, "hop_length"),
])  # fmt: skip
def test_sizes_without_an_inverse_are_refused_by_name(n_fft, hop_length, name):
    assert "\n" not in refused(f"^{name}: expected .*, got", ap.stft, noise(4000), n_fft, hop_length)


def test_istft_refuses_a_hop_longer_than_half_the_window():
    refused("^hop_length: ", ap.istft, np.zeros((513, 5), complex), 600)


@pytest.mark.parametrize("audio, words", [
    (np.zeros(0), ""), (np.zeros((2, 0)), ""), (np.float32(1), ""), (np.full(9, np.inf), "expected finite samples"),
    (np.full(9, np.nan), "expected finite samples, got NaN"), (np.r_[np.ones(4321), np.nan, np.ones(9)], "got NaN"),
])  # fmt: skip
def test_stft_refuses_what_is_no_signal(audio, words):
    refused(f"^audio: .*{words}", ap.stft, audio)


# --- resampling and small helpers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("from_rate, to_rate", [(44100, 16000), (48000, 44100), (8000, 44100), (22050, 22050)])
def test_resampling_keeps_a_tone(from_rate, to_rate):
    resampled = ap.resample(tone(from_rate), from_rate, to_rate)
    expected = tone(to_rate)
    assert resampled.shape == expected.shape and resampled.dtype == np.float32
    inner = slice(to_rate // 20, -to_rate // 20)
    assert np.abs(resampled - expected)[inner].max() < 2e-3


def test_resampling_removes_what_the_new_rate_cannot_hold():
    high = tone(44100, frequency=10000.0)
    assert np.abs(ap.resample(high, 44100, 16000)[800:-800]).max() < 1e-3


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 3000), st.sampled_from([(44100, 16000), (16000, 44100), (48000, 44100), (1, 2), (96000, 8000)]))
def test_resampled_length(samples, rates):
    resampled = ap.resample(noise(2, samples), *rates)
    assert resampled.shape == (2, ap.resampled_length(samples, *rates))
    assert resampled.shape[-1] == max(1, round(samples * rates[1] / rates[0]))


def test_to_mono_averages_channels():
    np.testing.assert_array_equal(ap.to_mono(np.array([[1.0, 2.0], [3.0, 6.0]])), [2.0, 4.0])
    np.testing.assert_array_equal(ap.to_mono(np.array([1.0, 2.0])), [1.0, 2.0])


def test_fix_length_cuts_and_pads():
    np.testing.assert_array_equal(ap.fix_length(np.arange(5), 3), [0, 1, 2])
    np.testing.assert_array_equal(ap.fix_length(np.ones((2, 2)), 3), [[1, 1, 0], [1, 1, 0]])


def test_decibels_there_and_back():
    amplitude = np.array([1.0, 0.5, 1e-4])
    np.testing.assert_allclose(ap.amplitude_to_db(amplitude), [0, -6.0206, -80], atol=1e-4)
    np.testing.assert_allclose(10 ** (ap.amplitude_to_db(amplitude) / 20), amplitude)
    assert ap.amplitude_to_db(0.0) == -100
    np.testing.assert_allclose(
        ap.amplitude_to_db(np.abs(noise(99)) + 0.01),
        librosa.amplitude_to_db(np.abs(noise(99)) + 0.01, amin=1e-5, top_db=None),
        atol=1e-4,
    )


def test_magnitude_and_phase_rebuild_the_spectrum():
    spectrum = ap.stft(noise(3000))
    np.testing.assert_allclose(np.abs(spectrum) * np.exp(1j * np.angle(spectrum)), spectrum, atol=1e-4)


@pytest.mark.parametrize("name", ["hann", "hamming", "blackman"])
def test_windows_are_periodic(name):
    weights = ap.window(name, 512)
    np.testing.assert_allclose(weights[1:], weights[1:][::-1], atol=1e-15)  # w[n] = w[N - n]
    shifted = weights.reshape(4, 128).sum(axis=0)
    np.testing.assert_allclose(shifted, shifted[0])  # copies at a hop of N / 4 add up evenly


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_load_reads_every_format_rate_and_channel_count(tmp_path, suffix, rate, channels):
    path = tmp_path / f"tone.{suffix}"
    audio = np.stack([tone(rate), 0.5 * tone(rate, frequency=660.0)][:channels])
    soundfile.write(path, audio.T, rate)
    loaded, loaded_rate = ap.load(path)
    assert loaded_rate == rate and loaded.dtype == np.float32 and loaded.shape[0] == channels
    assert loaded.flags.c_contiguous
    if suffix in ("wav", "flac"):
        assert loaded.shape == audio.shape and np.abs(loaded - audio).max() < 1e-4  # 16 bits
    else:  # lossy, and MP3 pads to whole frames
        samples = min(loaded.shape[-1], audio.shape[-1])
        assert abs(loaded.shape[-1] - audio.shape[-1]) <= 2304
        spectra = [np.abs(np.fft.rfft(each[:, :samples])) for each in (loaded, audio)]
        assert np.array_equal(*(spectrum.argmax(axis=-1) for spectrum in spectra))


def test_load_mono_and_resampled_at_once(tmp_path):
    path = tmp_path / "stereo.wav"
    soundfile.write(path, np.stack([tone(44100), tone(44100)]).T, 44100)
    audio, rate = ap.load(path, sample_rate=16000, mono=True)
    assert rate == 16000 and audio.shape == (8000,)
    assert np.abs(audio - tone(16000))[800:-800].max() < 2e-3


@pytest.mark.parametrize("channels", [3, 6])
def test_load_many_channels(tmp_path, channels):
    audio = 0.5 * noise(channels, 1234)
    ap.save(tmp_path / "many.wav", audio, 22050)
    np.testing.assert_array_equal(ap.load(tmp_path / "many.wav")[0], audio)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "PCM_U8"])
def test_load_every_sample_format_of_wav(tmp_path, subtype):
    soundfile.write(tmp_path / "a.wav", tone(16000), 16000, subtype=subtype)
    audio, _ = ap.load(tmp_path / "a.wav", mono=True)
    assert np.abs(audio - tone(16000)).max() < (1e-2 if subtype == "PCM_U8" else 1e-4)


def test_save_keeps_samples_beyond_full_scale_and_leaves_no_partial_file(tmp_path):
    audio = 3 * noise(2, 999)
    ap.save(tmp_path / "deep" / "loud.wav", audio, 44100)
    np.testing.assert_array_equal(ap.load(tmp_path / "deep" / "loud.wav")[0], audio)
    assert [file.name for file in (tmp_path / "deep").iterdir()] == ["loud.wav"]


def test_save_that_fails_leaves_nothing(tmp_path):
    refused("(?i)format", ap.save, tmp_path / "song.nosuchformat", tone(16000), 16000, error=Exception)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", ["flac", "ogg", "mp3"])
def test_save_writes_the_other_formats(tmp_path, suffix):
    ap.save(tmp_path / f"a.{suffix}", tone(44100), 44100)
    audio, rate = ap.load(tmp_path / f"a.{suffix}", mono=True)
    assert rate == 44100 and abs(audio.size - 22050) <= 2304 and 0.4 < np.abs(audio).max() < 0.6


def cut_in_its_header(path):
    soundfile.write(path, tone(16000), 16000)
    path.write_bytes(path.read_bytes()[:20])


@pytest.mark.parametrize("make, reason", [
    (lambda path: None, "no such file"), (Path.touch, "empty"), (Path.mkdir, "a folder"),
    (lambda path: path.write_text("not a sound\n" * 50), "not a sound file"),
    (lambda path: soundfile.write(path, np.zeros((0, 2)), 44100), "zero samples"),
    (lambda path: soundfile.write(path, np.full((100, 2), np.nan), 44100, subtype="FLOAT"), "NaN"),
    (cut_in_its_header, "bad.wav"),
])  # fmt: skip
def test_a_file_that_cannot_be_used_is_named_with_the_reason(tmp_path, make, reason):
    make(tmp_path / "bad.wav")
    message = refused(reason, ap.load, tmp_path / "bad.wav", error=sound_files.AudioError)
    assert str(tmp_path / "bad.wav") in message and "\n" not in message
