"""The notes of a song as a MIDI file.

Notebook: virtual_band/dataset_report.ipynb
"""

import mido
import numpy as np

CHANNELS = {"drums": 9, "bass": 0, "other": 1, "vocals": 2}
PROGRAMS = {"bass": 33, "other": 4, "vocals": 53}  # of General MIDI: electric bass, electric piano, voice
TICKS = 960  # per beat


def midi_file(score, seconds):
    """The notes of a performed score as a MIDI file, one track per part.

    Parameters
    ----------
    score : score.Score
    seconds : float
        notes are cut there.

    Returns
    -------
    mido.MidiFile
        drums on channel 10; syllables as lyrics.
    """
    tempo = mido.bpm2tempo(score.plan.tempo)
    file = mido.MidiFile(ticks_per_beat=TICKS)
    head = mido.MetaMessage("time_signature", numerator=score.plan.beats, denominator=4)
    file.tracks.append(mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=tempo), head]))
    for source, notes in score.parts.items():
        channel, events = CHANNELS[source], []  # (seconds, rank among those of one moment, message)
        for note in notes:
            played = {"channel": channel, "note": note.pitch}
            velocity = int(np.clip(round(127 * note.velocity), 1, 127))
            events += [
                (min(seconds, note.start + note.duration), 0, mido.Message("note_off", **played)),
                (note.start, 2, mido.Message("note_on", **played, velocity=velocity)),
            ]
            if source == "vocals" and note.kind != "~":
                events.append((note.start, 1, mido.MetaMessage("lyrics", text=note.kind.replace(".", ""))))
        track = mido.MidiTrack([mido.MetaMessage("track_name", name=source)])
        if source in PROGRAMS:
            track.append(mido.Message("program_change", channel=channel, program=PROGRAMS[source]))
        events = [(round(mido.second2tick(max(0.0, at), TICKS, tempo)), *event) for at, *event in events]
        now = 0
        for tick, _, message in sorted(events, key=lambda event: event[:2]):
            track.append(message.copy(time=tick - now))
            now = tick
        file.tracks.append(track)
    return file
