"""Sound as a page carries it: MP3 bytes and `data:` addresses, at one gain for all clips of a comparison."""

import base64
import io

import numpy as np
import soundfile

from audio_processing.audio_processing import AudioError

MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
"""Sample rates in Hz that MPEG audio layer III has."""


def common_gain(clips, *, peak=0.9):
    """The factor that keeps the loudest of several clips below `peak`; 1 where it is there already.

    Clips that are compared by ear are multiplied by this one factor, so that soft stays soft.

    Parameters
    ----------
    clips : iterable of np.ndarray
    peak : float
        of full scale.

    Returns
    -------
    float
        in (0, 1].
    """
    loudest = max((float(np.abs(clip).max()) for clip in clips if np.size(clip)), default=0.0)
    return peak / loudest if loudest > peak else 1.0


def mp3(audio, sample_rate):
    """Encode a clip as MP3.

    Parameters
    ----------
    audio : np.ndarray, shape (samples,) or (channels, samples)
        one or two channels, in [-1, 1].
    sample_rate : int
        in Hz, one of `MP3_RATES`.

    Returns
    -------
    bytes

    Raises
    ------
    AudioError
        where the clip is empty, not finite, or of a shape or rate that MP3 does not have.
    """
    audio = np.asarray(audio, np.float32)
    if audio.ndim not in (1, 2) or (audio.ndim == 2 and audio.shape[0] not in (1, 2)) or not audio.size:
        raise AudioError(f"audio: shape {audio.shape}; expected (samples,) or (1 or 2 channels, samples)")
    if not np.isfinite(audio).all():
        raise AudioError("audio: holds samples that are not finite; expected numbers in [-1, 1]")
    if sample_rate not in MP3_RATES:
        raise AudioError(f"sample_rate: {sample_rate}; MP3 has {', '.join(map(str, MP3_RATES))} Hz")
    buffer = io.BytesIO()
    soundfile.write(buffer, audio.T, sample_rate, format="MP3")
    return buffer.getvalue()


def data_address(coded):
    """The `data:` address of MP3 bytes, which needs neither file nor server."""
    return "data:audio/mpeg;base64," + base64.b64encode(coded).decode()
