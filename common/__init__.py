"""What every room needs: files written whole or not at all, results and their form, places. No audio, no Keras."""
