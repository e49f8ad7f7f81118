"""Neural networks in NumPy: layers, losses, optimisers, each a page long and each checked against Keras."""
