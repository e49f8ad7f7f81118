"""What is known about a song, at 250 frames per second: fundamental, voicing and loudness per source.

Frame k is centred on k / 250 s, for every quantity, so that they line up (FFT frames are centred, with zeros before
the first sample and after the last).
"""

import librosa
import mido
import numpy as np

from audio_processing.audio_processing import resample, stft

FRAME_RATE = 250
LOUDNESS_RATE = 16000  # Hz
LOUDNESS_FFT = 512
LOUDNESS_FLOOR = -80.0  # dB


def frame_times(n_samples, sample_rate):
    """Centres of the frames of a signal, in seconds: k / 250 for every k that lies within it.

    Returns
    -------
    np.ndarray, shape (frames,)
    """
    return np.arange(int(n_samples * FRAME_RATE // sample_rate)) / FRAME_RATE


def loudness(audio, sample_rate):
    """Loudness as DDSP defines it (Engel et al. 2020): A-weighted power, mean over frequency, in dB.

    Parameters
    ----------
    audio : np.ndarray, shape (samples,)
    sample_rate : int
        Hz; the signal is resampled to 16 kHz first.

    Returns
    -------
    np.ndarray, shape (frames,), float32
        dB, not below -80; frame k is centred on k / 250 s.
    """
    frames = frame_times(audio.shape[-1], sample_rate).size
    audio = resample(np.asarray(audio, dtype=np.float32), sample_rate, LOUDNESS_RATE)
    spectrum = stft(audio, LOUDNESS_FFT, LOUDNESS_RATE // FRAME_RATE)  # (frequencies, frames)
    frequency = librosa.fft_frequencies(sr=LOUDNESS_RATE, n_fft=LOUDNESS_FFT)
    with np.errstate(divide="ignore"):  # 0 Hz weighs nothing: -inf dB, floored at -80
        weight = 10.0 ** (librosa.A_weighting(frequency) / 10.0)
    power = np.mean(weight[:, None] * np.abs(spectrum) ** 2, axis=0)
    decibels = 10.0 * np.log10(np.maximum(power, 10.0 ** (LOUDNESS_FLOOR / 10.0)))
    return decibels[:frames].astype(np.float32)


def midi_file(score, seconds):
    """The notes of a performed score as a MIDI file, one track per part.

    Parameters
    ----------
    score : score.Score
    seconds : float
        Notes are cut there.

    Returns
    -------
    mido.MidiFile
        Drums on channel 10; syllables as lyrics.
    """
    ticks = 960
    tempo = mido.bpm2tempo(score.plan.tempo)
    tick = lambda s: int(round(mido.second2tick(max(0.0, s), ticks, tempo)))  # noqa: E731
    file = mido.MidiFile(ticks_per_beat=ticks)
    head = mido.MidiTrack([
        mido.MetaMessage("set_tempo", tempo=tempo),
        mido.MetaMessage("time_signature", numerator=score.plan.beats, denominator=4),
    ])  # fmt: skip
    file.tracks.append(head)
    channels = {"drums": 9, "bass": 0, "other": 1, "vocals": 2}
    programs = {"bass": 33, "other": 4, "vocals": 53}
    for source, notes in score.parts.items():
        track = mido.MidiTrack([mido.MetaMessage("track_name", name=source)])
        if source in programs:
            track.append(mido.Message("program_change", channel=channels[source], program=programs[source]))
        events = []
        for note in notes:
            stop = min(seconds, note.start + note.duration)
            velocity = int(np.clip(round(127 * note.velocity), 1, 127))
            events.append((tick(stop), 0, mido.Message("note_off", channel=channels[source], note=note.pitch)))
            events.append(
                (
                    tick(note.start),
                    2,
                    mido.Message("note_on", channel=channels[source], note=note.pitch, velocity=velocity),
                )
            )
            if source == "vocals" and note.kind != "~":
                events.append((tick(note.start), 1, mido.MetaMessage("lyrics", text=note.kind.replace(".", ""))))
        now = 0
        for at, _, message in sorted(events, key=lambda event: event[:2]):
            track.append(message.copy(time=at - now))
            now = at
        file.tracks.append(track)
    return file
