"""Chapter 6: Conv-TasNet, a network that separates the waveform itself."""
