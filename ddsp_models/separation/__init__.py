"""Chapter 8: separation by synthesis. An analysis network estimates f0 and spectra per source; masks follow."""
