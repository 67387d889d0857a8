"""activations."""

import math

import numpy as np

from neo_np.errors import NeoError

SQRT_2_OVER_PI = math.sqrt(2 / math.pi)


def gelu_new(x):
    """Return x times the share of a normal distribution below x, in the tanh form that every released GPT-Neo uses.

    Hendrycks and Gimpel 2016 (arXiv 1606.08415), section 2: 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).
    """
    y = x * x  # `x**2` and `x**3` may call pow, which is far slower; each line is one pass over the same array
    y *= 0.044715 * SQRT_2_OVER_PI
    y += SQRT_2_OVER_PI
    y *= x  # sqrt(2/pi) (x + 0.044715 x^3)
    np.tanh(y, out=y)
    y += 1.0
    y *= x
    y *= 0.5
    return y


def gelu(x):
    """Return x times the share of a normal distribution below x, exactly: 0.5 x (1 + erf(x / sqrt(2)))."""
    return 0.5 * x * (1.0 + erf(x * math.sqrt(0.5)))


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
    """Return the error function, which NumPy lacks, by Cody's two rational approximations.

    |x| < 0.46875: erf(x) = x P(x^2) / Q(x^2);  beyond: erf(|x|) = 1 - exp(-x^2) P(|x|) / Q(|x|), which Cody uses up to 4
    and which tends to 1 after it as it should. In float64 the error is below 1e-15, in float32 it is that of rounding.
    """
    size = np.minimum(np.abs(x), 10.0)  # erf(10) is 1 to the last digit; larger powers would overflow float32
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


def relu(x):
    """Return x where it is positive, else 0."""
    return np.maximum(x, 0.0)


def silu(x):
    """Return x sigmoid(x); sigmoid is written as (1 + tanh(x/2)) / 2, which cannot overflow as exp(-x) can."""
    return 0.5 * x * (1.0 + np.tanh(0.5 * x))


ACTIVATIONS = {"gelu_new": gelu_new, "gelu": gelu, "relu": relu, "silu": silu}


def activation(name):
    """Return the activation function that a config names; raises NeoError for an unknown one."""
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise NeoError(f"activation_function is {name!r}, and neo_np knows {', '.join(ACTIVATIONS)}.")
    return ACTIVATIONS[name]
