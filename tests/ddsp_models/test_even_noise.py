"""Even noise: closer to any noise than noise is, and white."""

import keras
import numpy as np
import pytest
import scipy.signal

from ddsp_models.even_noise import LEVEL, even_noise
from ddsp_models.spectral_loss import spectral_loss


@pytest.mark.slow
def test_even_noise_is_closer_to_any_noise_than_noise_is():
    loop = even_noise(8192, steps=150)
    one, other = (0.01 * np.sqrt(3) * np.random.default_rng(3).uniform(-1, 1, (2, 1, 8192))).astype(np.float32)
    even = (0.01 * loop[None]).astype(np.float32)
    assert float(spectral_loss(one, even)) < float(spectral_loss(one, other)) - 0.4
    frequencies, power = scipy.signal.welch(loop, 1.0, nperseg=256)
    inside = power[8:-8] / power[8:-8].mean()
    assert inside.min() > 0.6 and inside.max() < 1.6  # white, as it should be
    assert 0.7 < loop.std() < 1.1 and 0.8 < LEVEL < 0.9
    np.testing.assert_array_equal(loop, even_noise(8192, steps=150))
    assert keras.backend.floatx() == "float32"


def test_lengths_that_do_not_fit_the_hops_are_refused():
    with pytest.raises(ValueError, match="multiple of 512"):
        even_noise(5000)
