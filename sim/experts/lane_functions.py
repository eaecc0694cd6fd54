"""Elementary functions in operations that lanes of rollouts can do side by side: see `forestpilot.sim.experts.lanes`.

Calls of the C library would move lanes one by one. These are as exact, but for the last digit.
"""

from __future__ import annotations

import math

import numpy as np

from forestpilot.sim.kernels import helper

_TWO_PI = 2.0 * math.pi
_LN2 = math.log(2.0)
_LN2_HIGH = 6.93147180369123816490e-01
"""The leading bits of ln 2, so that whole multiples of it are exact."""
_LN2_LOW = 1.90821492927058770002e-10
_LEAST_EXPONENT = -700.0
_QUARTER = 0.5 * math.pi
_QUARTER_HIGH = 1.57079632673412561417
"""The leading bits of a quarter turn."""
_QUARTER_LOW = 6.07710050650619224932e-11


@helper(forceinline=True)
def angle_between(angle):  # type: ignore[no-untyped-def]
    """Size of an angle in radians, whole turns left out: from 0 to pi."""
    return abs(angle - _TWO_PI * math.floor(angle / _TWO_PI + 0.5))


@helper(fastmath={"contract", "nsz"}, error_model="numpy", forceinline=True)
def exponential(x):  # type: ignore[no-untyped-def]
    """e to the power of x, at most 0, but for the last digit: in operations that lanes can do side by side.

    Powers of 2 by the exponent's bits, the rest by Taylor's polynomial (Cody & Waite 1980, Software Manual for the
    Elementary Functions, chapter 6).
    """
    x = max(x, _LEAST_EXPONENT)
    power = math.floor(x * (1.0 / _LN2) + 0.5)
    r = x - power * _LN2_HIGH
    r -= power * _LN2_LOW
    q = 1.0 / 6227020800.0
    q = q * r + 1.0 / 479001600.0
    q = q * r + 1.0 / 39916800.0
    q = q * r + 1.0 / 3628800.0
    q = q * r + 1.0 / 362880.0
    q = q * r + 1.0 / 40320.0
    q = q * r + 1.0 / 5040.0
    q = q * r + 1.0 / 720.0
    q = q * r + 1.0 / 120.0
    q = q * r + 1.0 / 24.0
    q = q * r + 1.0 / 6.0
    q = q * r + 0.5
    q = q * r * r + r + 1.0
    return q * np.int64((np.int64(np.int32(power)) + 1023) << 52).view(np.float64)


@helper(fastmath={"contract", "nsz"}, error_model="numpy", forceinline=True)
def sine_cosine(angle):  # type: ignore[no-untyped-def]
    """Sine and cosine of an angle of up to some thousand turns, in radians.

    Quarter turns are taken off, the rest is a polynomial (fdlibm, k_sin.c and k_cos.c).
    """
    quarters = math.floor(angle * (1.0 / _QUARTER) + 0.5)
    r = angle - quarters * _QUARTER_HIGH
    r -= quarters * _QUARTER_LOW
    z = r * r
    q = 1.58969099521155010221e-10
    q = q * z - 2.50507602534068634195e-08
    q = q * z + 2.75573137070700676789e-06
    q = q * z - 1.98412698298579493134e-04
    q = q * z + 8.33333333332248946124e-03
    q = q * z - 1.66666666666666324348e-01
    s = r + r * z * q
    q = -1.13596475577881948265e-11
    q = q * z + 2.08757232129817482790e-09
    q = q * z - 2.75573143513906633035e-07
    q = q * z + 2.48015872894767294178e-05
    q = q * z - 1.38888888888741095749e-03
    q = q * z + 4.16666666666666019037e-02
    c = 1.0 - 0.5 * z + z * z * q
    quadrant = quarters - 4.0 * math.floor(0.25 * quarters)
    odd = (quadrant == 1.0) | (quadrant == 3.0)
    sine = c if odd else s
    cosine = s if odd else c
    sine = -sine if quadrant >= 2.0 else sine
    cosine = -cosine if (quadrant == 1.0) | (quadrant == 2.0) else cosine
    return sine, cosine


@helper(fastmath={"contract", "nsz"}, error_model="numpy", forceinline=True)
def arctangent(x):  # type: ignore[no-untyped-def]
    """Angle in radians of a slope (Cephes, atan.c)."""
    size = abs(x)
    steep = size > 2.41421356237309504880
    middling = (size > 0.66) & (size <= 2.41421356237309504880)
    above = size - 1.0 if middling else size
    above = -1.0 if steep else above
    below = size + 1.0 if middling else 1.0
    below = size if steep else below
    start = 0.25 * math.pi if middling else 0.0
    start = 0.5 * math.pi if steep else start
    r = above / below
    z = r * r
    p = -8.750608600031904122785e-1
    p = p * z - 1.615753718733365076637e1
    p = p * z - 7.500855792314704667340e1
    p = p * z - 1.228866684490136173410e2
    p = p * z - 6.485021904942025371773e1
    q = z + 2.485846490142306297962e1
    q = q * z + 1.650270098316988542046e2
    q = q * z + 4.328810604912902668951e2
    q = q * z + 4.853903996359136964868e2
    q = q * z + 1.945506571482613964425e2
    angle = start + (r + r * (z * p / q))
    return -angle if x < 0.0 else angle
