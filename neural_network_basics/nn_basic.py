"""One hidden layer with loops and lists only: every sum of the chain rule is a line of its own.

The network has I inputs, J hidden units and one output, the probability of "yes":

    a_j = sum_i x_i W1[i][j] + b1[j]      h_j = tanh(a_j)
    z   = sum_j h_j W2[j] + b2            y   = sigmoid(z)

It is a dict of its parameters: W1 (I lists of J numbers), b1 and W2 (lists of J numbers), b2 (a number).

Notebook: neural_network_basics/nn_basic.ipynb
"""

import math
import random

from common.checks import expect


def new_network(inputs, hidden, seed=0):
    """A network with random weights of variance 1 / (numbers summed) and zero biases."""
    rng = random.Random(seed)
    return {
        "W1": [[rng.gauss(0, 1 / math.sqrt(inputs)) for j in range(hidden)] for i in range(inputs)],
        "b1": [0.0] * hidden,
        "W2": [rng.gauss(0, 1 / math.sqrt(hidden)) for j in range(hidden)],
        "b2": 0.0,
    }


def forward(network, x):
    """The hidden values h (a list of J numbers) and the output y for one example x (a list of I numbers)."""
    W1, b1, W2, b2 = network["W1"], network["b1"], network["W2"], network["b2"]
    expect(len(x) == len(W1), "x", f"{len(W1)} numbers", len(x))
    h = []
    for j in range(len(b1)):
        a_j = b1[j]
        for i in range(len(x)):
            a_j += x[i] * W1[i][j]
        h.append(math.tanh(a_j))
    z = b2
    for j in range(len(h)):
        z += h[j] * W2[j]
    return h, sigmoid(z)


def sigmoid(z):
    """1 / (1 + exp(-z)), written with tanh, which does not overflow."""
    return 0.5 + 0.5 * math.tanh(0.5 * z)


def loss(y, t):
    """Cross-entropy -log(probability of the target); t is 1 for yes and 0 for no."""
    probability = y if t == 1 else 1 - y
    return -math.log(max(probability, 1e-15))  # 1e-15: a certain and wrong network still gets a finite loss


def backward(network, x, h, y, t):
    """The derivative of the loss with respect to every parameter, as a dict of the network's shape."""
    W2 = network["W2"]
    dz = y - t  # dL/dy dy/dz: the sigmoid's slope cancels the loss's denominator
    db2 = dz  # dz/db2 = 1
    dW1 = [[] for _ in x]
    db1, dW2 = [], []
    for j in range(len(h)):
        dW2.append(dz * h[j])  # dz/dW2[j] = h_j
        dh_j = dz * W2[j]  # dz/dh_j = W2[j]
        da_j = dh_j * (1 - h[j] ** 2)  # dh_j/da_j, the slope of tanh
        db1.append(da_j)  # da_j/db1[j] = 1
        for i in range(len(x)):
            dW1[i].append(da_j * x[i])  # da_j/dW1[i][j] = x_i
    return {"W1": dW1, "b1": db1, "W2": dW2, "b2": db2}


def step(network, gradient, learning_rate):
    """Walk downhill: every parameter minus learning_rate times its derivative, in place."""
    network["b2"] -= learning_rate * gradient["b2"]
    for j in range(len(network["W2"])):
        network["W2"][j] -= learning_rate * gradient["W2"][j]
        network["b1"][j] -= learning_rate * gradient["b1"][j]
        for i in range(len(network["W1"])):
            network["W1"][i][j] -= learning_rate * gradient["W1"][i][j]


def train(network, examples, epochs, learning_rate, seed=0):
    """Stochastic gradient descent, one example (x, t) at a time; returns the mean loss of each epoch."""
    rng = random.Random(seed)
    history = []
    for _ in range(epochs):
        total = 0.0
        for x, t in rng.sample(examples, len(examples)):
            h, y = forward(network, x)
            total += loss(y, t)
            step(network, backward(network, x, h, y, t), learning_rate)
        history.append(total / len(examples))
    return history


def accuracy(network, examples):
    """Fraction of the examples whose more probable class is the target."""
    return sum((forward(network, x)[1] > 0.5) == (t == 1) for x, t in examples) / len(examples)
