"""What every room needs: files written whole or not at all, results, commands, places. No audio, no Keras."""
