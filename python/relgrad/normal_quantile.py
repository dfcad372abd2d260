"""Quantile of the standard normal: algorithm AS 241 (Wichura 1988), PPND7 in float32 and PPND16 in float64, as in
the program; and its tail probability."""
from __future__ import annotations

import math

import numpy

# Rational functions, numerator and denominator, lowest power first: centre (p > 0.075), tail (p > e^-25), far tail.
SINGLE = (
    ((3.3871327179, 50.434271938, 159.29113202, 59.109374720), (1.0, 17.895169469, 78.757757664, 67.187563600)),
    ((1.4234372777, 2.7568153900, 1.3067284816, 0.17023821103), (1.0, 0.73700164250, 0.12021132975)),
    ((6.6579051150, 3.0812263860, 0.42868294337, 0.017337203997), (1.0, 0.24197894225, 0.012258202635)))
DOUBLE = (
    ((3.3871328727963666080e0, 1.3314166789178437745e+2, 1.9715909503065514427e+3, 1.3731693765509461125e+4,
      4.5921953931549871457e+4, 6.7265770927008700853e+4, 3.3430575583588128105e+4, 2.5090809287301226727e+3),
     (1.0, 4.2313330701600911252e+1, 6.8718700749205790830e+2, 5.3941960214247511077e+3,
      2.1213794301586595867e+4, 3.9307895800092710610e+4, 2.8729085735721942674e+4, 5.2264952788528545610e+3)),
    ((1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0, 3.64784832476320460504e0,
      1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4),
     (1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
      1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9)),
    ((6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0, 2.96560571828504891230e-1,
      2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7),
     (1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
      7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15)))


def _polynomial(coefficients, x):
    value = coefficients[-1] + 0 * x
    for coefficient in coefficients[-2::-1]:
        value = value * x + coefficient
    return value


def normal_quantile_size(p, ops):
    """-z with Phi(z) = p, for the smaller tail p, 0 < p <= 1/2: a number >= 0."""
    centre, tail, far_tail = SINGLE if ops.dtype == numpy.float32 else DOUBLE
    q = 0.5 - p
    square = 0.180625 - q * q
    r = ops.sqrt(-ops.log(p))
    ratio = lambda pair, x: _polynomial(pair[0], x) / _polynomial(pair[1], x)
    result = ops.where(q <= 0.425, q * ratio(centre, square), ratio(tail, r - 1.6))
    far = r > 5
    if bool(far.any()):
        result = ops.where(far, ratio(far_tail, r - 5), result)
    return result


def normal_tail(size: numpy.ndarray) -> numpy.ndarray:
    """Phi(-size), float64."""
    return 0.5 * _erfc(size / math.sqrt(2.0))


_erfc = numpy.vectorize(math.erfc, otypes=[numpy.float64])
