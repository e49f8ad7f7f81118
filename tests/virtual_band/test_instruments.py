"""The instruments: in tune, band-limited, silent where they rest."""

import librosa
import numpy as np
import pytest
import scipy.signal

import virtual_band
from virtual_band import bass, drums, keys, voice
from virtual_band.form import Note
from virtual_band.strings import pluck, pole_of_decay, string

RATE = 44100
BAND = virtual_band.artist(3)


def aliased(audio, f0):
    """Energy that is not within 25 Hz of a multiple of f0, relative to all, in dB."""
    power = np.abs(np.fft.rfft(audio * scipy.signal.get_window(("kaiser", 20), audio.size))) ** 2
    frequency = np.fft.rfftfreq(audio.size, 1 / RATE)
    harmonic = np.round(frequency / f0)
    near = (np.abs(frequency - harmonic * f0) < 25) & (harmonic >= 1)
    audible = frequency > 30
    return 10 * np.log10(power[audible & ~near].sum() / power[audible].sum() + 1e-30)


def sung(f0, seconds=1.0):
    """A steady vowel without breath, jitter or shimmer, from the synthesiser's inner loop."""
    frames, n = np.zeros(int(seconds * voice.CONTROL_RATE) + 2, voice.FRAME), int(seconds * RATE)
    for name, value in {"f0": f0, "voicing": 1.0, "centre": 3000.0, "width": 2000.0, "tilt": 12000.0}.items():
        frames[name] = value
    frames["formants"] = np.r_[voice.FORMANTS["a"], np.arange(5.5, 16.4) * 1000]
    bandwidths, tables = np.r_[voice.BANDWIDTHS, np.full(11, 400.0)], voice.glottal_tables(0.6, RATE)
    hop = RATE // voice.CONTROL_RATE
    return voice._synthesise(frames, bandwidths, tables, np.zeros(n), np.zeros(8), np.zeros(8), hop, float(RATE))


@pytest.mark.parametrize("f0", [97.3, 211.7, 440.1, 713.9, 1046.5])
def test_voice_has_no_aliases(f0):
    assert aliased(sung(f0)[8000:], f0) < -60


@pytest.mark.parametrize("f0", [110.3, 441.7, 1000.3])
def test_amplifier_has_few_aliases_on_the_notes_of_a_bass(f0):
    tone = np.sin(2 * np.pi * f0 * np.arange(RATE) / RATE)
    assert aliased(bass.saturate(tone, 4.0), f0) < -60
    assert aliased(np.clip(4 * tone, -1, 1), f0) > aliased(bass.saturate(tone, 4.0), f0)


def test_amplifier_is_the_hyperbolic_tangent_for_slow_signals():
    x = np.linspace(-2, 2, 20001)
    np.testing.assert_allclose(bass.saturate(x, 1.5)[1:], np.tanh(1.5 * x[1:]) / 1.5, atol=2e-4)


@pytest.mark.parametrize("pitch", [28, 40, 52, 64])
@pytest.mark.parametrize("bright", [0.05, 0.5])
def test_strings_are_in_tune(pitch, bright):
    f0 = 440 * 2 ** ((pitch - 69) / 12)
    period = RATE / f0
    n = RATE
    excitation = np.zeros(n)
    burst = pluck(np.random.default_rng(0).standard_normal(2000), period, 0.13, 800.0, 0.2, RATE)
    excitation[: burst.size] = burst
    pole = pole_of_decay(1000.0, bright, period, RATE)
    tone = string(excitation, np.full(n, period), np.full(n, pole), np.full(n, np.exp(-1 / f0 / 1.5)))
    spectrum = np.abs(np.fft.rfft(tone[4000:] * np.hanning(n - 4000), 2**20))
    frequency = np.fft.rfftfreq(2**20, 1 / RATE)
    for harmonic in (1, 2, 3):
        near = np.abs(frequency - harmonic * f0) < 0.3 * f0
        found = frequency[near][np.argmax(spectrum[near])]
        assert abs(1200 * np.log2(found / (harmonic * f0))) < 3


def test_loop_filter_lets_a_partial_die_in_the_wanted_time():
    period, decay = 400.0, 0.2
    pole = pole_of_decay(1000.0, decay, period, RATE)
    w = 2 * np.pi * 1000 / RATE
    once = (1 - pole) / abs(1 - pole * np.exp(-1j * w))
    assert once ** (decay * RATE / period) == pytest.approx(np.exp(-1), rel=1e-6)


def test_modes_match_the_formula():
    f, d, a, p = np.array([440.0, 1234.5]), np.array([0.2, 0.05]), np.array([1.0, 0.5]), np.array([0.3, 2.0])
    t = np.arange(5000)[:, None] / RATE
    expected = np.sum(a * np.exp(-t / d) * np.sin(2 * np.pi * f * t + p), axis=1)
    np.testing.assert_allclose(drums.modes(f, d, a, p, 5000, float(RATE)), expected, atol=1e-8)


def test_every_piece_of_the_kit_sounds_dies_away_and_differs_from_hit_to_hit():
    for piece, number in {"kick": 36, "snare": 38, "tom_low": 41, "hat_closed": 42, "ride": 51}.items():
        hits = [
            drums.render([Note(0.0, 0.1, number, 0.8, piece)], BAND.kit, 4 * RATE, RATE, np.random.default_rng(seed))
            for seed in (0, 1)
        ]
        assert np.abs(hits[0]).max() > 0.01
        assert np.abs(hits[0][:, -RATE // 2 :]).max() < 1e-3 * np.abs(hits[0]).max()
        assert not np.array_equal(*hits)


def test_the_pedal_chokes_the_open_hat():
    ringing = Note(0.0, 0.1, 46, 0.9, "hat_open")
    pedal = Note(0.1, 0.1, 44, 0.05, "hat_pedal")
    free = drums.render([ringing], BAND.kit, RATE, RATE, np.random.default_rng(0))
    choked = drums.render([ringing, pedal], BAND.kit, RATE, RATE, np.random.default_rng(0))
    after = slice(int(0.3 * RATE), int(0.4 * RATE))
    assert np.sqrt(np.mean(choked[:, after] ** 2)) < 0.1 * np.sqrt(np.mean(free[:, after] ** 2))


def test_louder_hits_are_brighter():
    def centroid(velocity):
        hit = drums.render([Note(0.0, 0.1, 38, velocity, "snare")], BAND.kit, RATE, RATE, np.random.default_rng(0))
        return librosa.feature.spectral_centroid(y=hit[0], sr=RATE)[0, :8].mean()

    assert centroid(1.0) > centroid(0.2)


@pytest.mark.parametrize("artist", [3, 101])
def test_bass_plays_the_written_notes(artist):
    sound = virtual_band.artist(artist).bass
    notes = [Note(0.1, 0.5, 33, 0.8, "pluck"), Note(0.7, 0.5, 40, 0.8, "pluck"), Note(1.3, 0.4, 40, 0.8, "dead")]
    audio, f0 = bass.render(notes, sound, 2 * RATE, RATE, np.random.default_rng(1))
    for note in notes[:2]:
        middle = slice(int((note.start + 0.1) * RATE), int((note.start + 0.4) * RATE))
        written = 440 * 2 ** ((note.pitch - 69) / 12)
        assert np.abs(1200 * np.log2(f0[middle] / written)).max() < 15
        heard = librosa.yin(audio[middle], fmin=30, fmax=300, sr=RATE, frame_length=8192)
        assert abs(1200 * np.log2(np.median(heard) / written)) < 20
    assert not f0[int(1.35 * RATE) :].any()  # a dead note has no pitch
    assert not f0[: int(0.09 * RATE)].any() and np.abs(audio[: int(0.09 * RATE)]).max() < 1e-6


def test_a_slide_glides_between_two_pitches():
    notes = [Note(0.0, 0.5, 33, 0.8, "pluck"), Note(0.5, 0.6, 36, 0.8, "slide")]
    _, f0 = bass.render(notes, BAND.bass, RATE, RATE, np.random.default_rng(1))
    glide = f0[int(0.5 * RATE) + 10 : int(0.6 * RATE)]
    low, high = (440 * 2 ** ((p - 69) / 12) for p in (33, 36))
    assert abs(1200 * np.log2(glide[0] / low)) < 30
    assert np.all(np.diff(glide) > -0.05)
    assert abs(1200 * np.log2(f0[int(0.8 * RATE)] / high)) < 15


def test_singer_holds_pitch_and_vibrato_is_annotated():
    note = Note(0.3, 1.4, BAND.voice.low + 5, 0.8, ".a")
    audio, f0 = voice.render([note], BAND.voice, 2 * RATE, RATE, np.random.default_rng(1))
    times = np.arange(60, 150) / 100
    heard = librosa.yin(audio, fmin=80, fmax=700, sr=RATE, frame_length=2048, hop_length=441)[60:150]
    known = f0[(times * RATE).astype(int)]
    assert np.median(np.abs(1200 * np.log2(heard / known))) < 12
    assert 0.1 < np.ptp(12 * np.log2(known)) < 2.0  # semitones


def test_consonants_are_unvoiced_noise_before_the_beat():
    note = Note(0.5, 0.8, BAND.voice.low + 5, 0.8, "s.a")
    audio, f0 = voice.render([note], BAND.voice, int(1.5 * RATE), RATE, np.random.default_rng(1))
    hiss, vowel = (slice(int(start * RATE), int(end * RATE)) for start, end in ((0.43, 0.47), (0.7, 1.0)))
    assert not f0[hiss].any() and f0[vowel].all() and np.abs(audio[hiss]).max() > 0.01
    hiss_centroid, vowel_centroid = (
        librosa.feature.spectral_centroid(y=audio[part], sr=RATE, n_fft=1024).mean() for part in (hiss, vowel)
    )
    assert hiss_centroid > 3 * vowel_centroid


def test_resting_players_are_silent():
    rng = np.random.default_rng(0)
    assert not drums.render([], BAND.kit, 1000, RATE, rng).any()
    for audio, f0 in (bass.render([], BAND.bass, 1000, RATE, rng), voice.render([], BAND.voice, 1000, RATE, rng)):
        assert np.abs(audio).max() < 1e-12 and not f0.any()
    assert not keys.render([], BAND.chords, 1000, RATE, rng).any()


@pytest.mark.parametrize("artist", [3, 0])  # a guitar, a piano
def test_chords_hold_the_written_notes(artist):
    sound = virtual_band.artist(artist).chords
    pitches = (50, 57, 66)
    audio = keys.render([Note(0.0, 1.0, p, 0.7, "strum") for p in pitches], sound, RATE, RATE, np.random.default_rng(0))
    spectrum = np.abs(np.fft.rfft(audio * np.hanning(RATE)))
    for pitch in pitches:
        f0 = 440 * 2 ** ((pitch - 69) / 12)
        assert spectrum[int(f0) - 3 : int(f0) + 5].max() > 5 * np.median(spectrum[int(f0 * 0.9) : int(f0 * 1.1)])
