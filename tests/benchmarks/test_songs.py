"""A song's separation is measured, and its stems are checked; long sounds are the same by blocks."""

import pytest
import soundfile

from benchmarks import songs


@pytest.mark.slow
def test_a_songs_separation_is_timed_and_checked():
    record = songs.separated(0.2, model="hps")
    assert record["benchmark"] == "separate_song@hps@0.2min" and record["peer_s"] == 12
    assert record["ratio"] == pytest.approx(12 / record["ours_s"]) and record["max_error"] < 1e-4
    assert 50 < record["peak_mb"] < 5000


def test_the_song_is_as_long_as_it_should_be(tmp_path):
    songs.write_song(tmp_path / "song.wav", 0.5)
    assert soundfile.info(tmp_path / "song.wav").frames == 30 * 44100
    copy = tmp_path / "copy.wav"
    audio, rate = soundfile.read(tmp_path / "song.wav")
    soundfile.write(copy, audio, rate, subtype="FLOAT")
    assert songs.largest_error(tmp_path / "song.wav", [copy]) == 0
    soundfile.write(copy, audio[:-1], rate, subtype="FLOAT")
    assert songs.largest_error(tmp_path / "song.wav", [copy]) > 0


def test_long_sounds_are_the_same_by_blocks():
    assert songs.by_blocks(8) == pytest.approx(songs.in_one_piece(8), rel=1e-5)
