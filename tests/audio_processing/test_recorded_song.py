"""The recorded song as a test set: it begins where training and validation end."""

import numpy as np

from audio_processing.audio_processing import AudioError, save
from audio_processing.recorded_song import RecordedSong
from audio_processing.tracks import TRIO
from tests.helpers import refused, tone


def test_the_recorded_song_begins_where_training_ended(tmp_path):
    seconds = 121.5
    for source in TRIO:
        save(tmp_path / f"{source}.wav", 0.01 * tone(100.0, seconds, 1000), 1000)
    song = RecordedSong(tmp_path)
    stems = song.stems(1000, sources=TRIO)
    assert list(stems) == list(TRIO) and all(stem.shape == (1500,) for stem in stems.values())
    refused(r"expected other\.\*, got no such file", song.stems, 1000, error=FileNotFoundError)
    refused("other", song.check, error=FileNotFoundError)
    save(tmp_path / "bass.wav", np.full(121500, np.nan) * (np.arange(121500) == 9), 1000)
    refused("bass.wav: ", song.stems, 1000, sources=TRIO, error=AudioError)
    assert song.annotations() == {} and len(song.files()) == 3
