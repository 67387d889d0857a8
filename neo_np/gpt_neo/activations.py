"""The activation functions besides `gelu_new` that a GPT-Neo config may name, with their derivatives.

Every released GPT-Neo uses `gelu_new`, which is in `forward.py`. Each `..._backward(dy, x)` returns dy * f'(x).

Course: notebook 08.
"""

import math

import numpy as np


def gelu(x):
    """Return x * Phi(x), Phi the standard normal CDF (Hendrycks and Gimpel 2016, arXiv 1606.08415)."""
    return x * normal_cdf(x)


def gelu_backward(dy, x):
    """d/dx x Phi(x) = Phi(x) + x phi(x), phi the standard normal density."""
    density = np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    return dy * (normal_cdf(x) + x * density)


def normal_cdf(x):
    """Return Phi(x) = (1 + erf(x / sqrt(2))) / 2."""
    return 0.5 * (1.0 + erf(x * math.sqrt(0.5)))


def relu(x):
    """Return max(x, 0)."""
    return np.maximum(x, 0.0)


def relu_backward(dy, x):
    """d/dx max(x, 0) = 1 for x > 0, else 0."""
    return dy * (x > 0)


def silu(x):
    """Return x * sigmoid(x) (the same paper)."""
    return x * sigmoid(x)


def silu_backward(dy, x):
    """d/dx x s = s + x s (1 - s), s = sigmoid(x)."""
    s = sigmoid(x)
    return dy * (s + x * s * (1.0 - s))


def sigmoid(x):
    """Return 1 / (1 + exp(-x)), as (1 + tanh(x / 2)) / 2, which cannot overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * x))


OTHER_ACTIVATIONS = {"gelu": gelu, "relu": relu, "silu": silu}
OTHER_ACTIVATIONS_BACKWARD = {"gelu": gelu_backward, "relu": relu_backward, "silu": silu_backward}


# Coefficients of P and Q, highest power first. W. J. Cody 1969, "Rational Chebyshev Approximations for the Error
# Function", Math. Comp. 23(107): 631-637, in the digits of Netlib's CALERF.
ERF_NEAR_P = 1.85777706184603153e-1, 3.16112374387056560, 1.13864154151050156e2, 3.77485237685302021e2, 3.20937758913846947e3
ERF_NEAR_Q = 1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3
ERF_FAR_P = (
    2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594, 6.61191906371416295e1, 2.98635138197400131e2,
    8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3, 1.23033935479799725e3,
)  # fmt: skip
ERF_FAR_Q = (
    1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
    3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3,
)  # fmt: skip


def erf(x):
    """Return the error function, which NumPy does not have, by two of Cody's three rational approximations.

    |x| < 0.46875: erf(x) = x P(x^2) / Q(x^2); beyond: erf(|x|) = 1 - exp(-x^2) P(|x|) / Q(|x|).
    He has a third one for |x| > 4, where exp(-x^2) is so small that it changes nothing here.
    The error is below 1e-15 in float64, and that of rounding in float32.
    """
    size = np.minimum(np.abs(x), 10.0)  # erf(10) is 1 in float64; larger powers would overflow float32
    near = np.minimum(size, 0.46875) ** 2
    near = x * polynomial(near, ERF_NEAR_P) / polynomial(near, ERF_NEAR_Q)
    far = 1.0 - np.exp(-size * size) * polynomial(size, ERF_FAR_P) / polynomial(size, ERF_FAR_Q)
    return np.where(size < 0.46875, near, np.copysign(far, x))


def polynomial(x, coefficients):
    """Return the polynomial with these coefficients, highest power first, by Horner's rule."""
    total = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        total = total * x + coefficient
    return total
