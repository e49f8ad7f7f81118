"""The notes of a song as a MIDI file."""

import mido
import numpy as np


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
