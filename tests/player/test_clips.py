import numpy as np
import pytest

from audio_processing.audio_processing import AudioError
from player.clips import common_gain, data_address, mp3
from tests.helpers import clips_in, refused, tone


@pytest.mark.parametrize("channels", [None, 1, 2])
@pytest.mark.parametrize("rate", [16000, 44100])
def test_a_clip_survives_its_encoding(channels, rate):
    sound = 0.5 * tone(440, 1.0, rate, harmonics=1)
    clip = sound if channels is None else np.stack([sound, -0.5 * sound][:channels])
    address = data_address(mp3(clip, rate))
    assert address.startswith("data:audio/mpeg;base64,")
    ((decoded, found_rate),) = clips_in(address)
    assert found_rate == rate and decoded.shape[1] == (channels or 1)
    middle = decoded[rate // 4 : rate // 2].T
    np.testing.assert_allclose(middle, np.atleast_2d(clip)[:, rate // 4 : rate // 2], atol=0.02)


def test_one_gain_keeps_the_loudest_below_full_scale_and_the_balance():
    clips = [np.array([0.1, -3.0]), np.array([[0.5], [0.2]])]
    assert common_gain(clips) * 3.0 == pytest.approx(0.9)
    assert common_gain([np.array([0.2])]) == 1 == common_gain([])


@pytest.mark.parametrize(
    "audio, rate, says",
    [
        (np.zeros(0), 16000, r"audio: shape \(0,\)"),
        (np.zeros((3, 100)), 16000, r"audio: shape \(3, 100\)"),
        (np.array([0.0, np.nan]), 16000, "audio: holds samples that are not finite"),
        (np.zeros(100), 12345, "sample_rate: 12345; MP3 has"),
    ],
)
def test_what_is_no_clip_is_refused(audio, rate, says):
    refused(says, mp3, audio, rate, error=AudioError)
