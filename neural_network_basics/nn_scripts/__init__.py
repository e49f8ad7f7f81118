"""Neural networks in NumPy: layers, losses, optimisers, each a page long and each checked against Keras.

Notebooks: neural_network_basics/nn_report.ipynb, neural_network_basics/cnn_report.ipynb
"""
