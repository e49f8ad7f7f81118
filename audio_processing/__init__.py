"""Chapter 2: sound files, spectrograms, masks. Every other chapter builds on this one."""
