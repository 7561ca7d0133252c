"""Numbers as text that sorts as they do, so that an engine that compares strings compares numbers exactly.

A JSON number of this project is an integer of 64 bits or a double. Comparing the two in either kind loses what the
other can tell apart (2**53 + 1 is no double), and engines differ in which they choose. So a number becomes the pair of
the greatest double that is not above it and what is left, an integer below 1024; the double's bits, turned so that
they sort as unsigned integers, and the ten bits of the rest are written in 64 digits whose ASCII codes ascend.
"""

from __future__ import annotations

import math
import struct

from indexes.errors import FilterError

_DIGITS = "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
_LENGTH = 13  # 64 + 10 bits, six a digit
_REST_BITS = 10  # the doubles next to 2**63 are 1024 apart
_SIGN = 1 << 63


def ordered(number: int | float) -> str:
    """Thirteen characters; of two numbers the smaller has the smaller text, and equal ones (1, 1.0) have the same.

    Raises FilterError for a number that no item can have: not finite, or an integer beyond 64 bits.
    """
    if isinstance(number, float):
        if not math.isfinite(number):
            raise FilterError(f"{number} is not a finite number")
        below, rest = number, 0
    else:
        if not -(2**63) <= number < 2**63:
            raise FilterError(f"{number} does not fit 64 bits")
        below = float(number)
        if int(below) > number:
            below = math.nextafter(below, -math.inf)
        rest = number - int(below)
    (bits,) = struct.unpack(">Q", struct.pack(">d", below + 0.0))  # + 0.0: of both zeros the positive one
    sortable = bits ^ (2**64 - 1) if bits & _SIGN else bits | _SIGN
    code = sortable << _REST_BITS | rest
    return "".join(_DIGITS[code >> 6 * place & 63] for place in reversed(range(_LENGTH)))
