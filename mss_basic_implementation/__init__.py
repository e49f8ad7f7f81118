"""Chapter 4: separation by one idea and no training - tones are horizontal in a spectrogram, strokes are vertical."""
