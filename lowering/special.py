"""Special functions that CHLO knows; the others are written in lax and expanded."""

from __future__ import annotations

from lowering.elementwise import elementwise

erf = elementwise("erf", "chlo.erf")
erfc = elementwise("erfc", "chlo.erfc")
erf_inv = elementwise("erf_inv", "chlo.erf_inv")
lgamma = elementwise("lgamma", "chlo.lgamma")
digamma = elementwise("digamma", "chlo.digamma")
polygamma = elementwise("polygamma", "chlo.polygamma")
zeta = elementwise("zeta", "chlo.zeta")
bessel_i1e = elementwise("bessel_i1e", "chlo.bessel_i1e")
