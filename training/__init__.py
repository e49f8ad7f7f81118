"""How every network is trained: settings, learning rate, loop, checkpoints, export, one command."""
