"""Bytes of Dark Machines lines to numbers in one loop, compiled by numba and kept on disk.

The rule: a line is taken only if each of its numbers is converted exactly and is legal; any other
one leaves nothing. All lines end in a newline, which no field holds, so nothing beyond is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hepmtp.events.compiled import compiled

if TYPE_CHECKING:
    from hepmtp.events.ragged import Floats, Ints

    Bytes = NDArray[np.uint8]

_NEWLINE, _PLUS, _COMMA, _MINUS, _POINT, _ZERO, _SEMICOLON, _E, _G = b"\n+,-.0;eg"
_EXACT = 1 << 53  # integers up to here are float64
_DIGITS = 18  # an integer of so many is int64
# powers of ten as float64, exact up to the 22nd, and what is missing, as float64
_POWERS = np.array([float(10**i) for i in range(45)])
_MISSING = np.array([float(10**i - int(float(10**i))) for i in range(45)])
# places are unsigned, so that none is counted from the end; so are eight bytes as one number: each
# of them 1, "0", the highest bit, and what sets that bit in all but digits
_0, _1, _8, _16, _32, _56, _BYTE = (np.uint64(i) for i in (0, 1, 8, 16, 32, 56, 255))
_ONES, _ZEROS, _TOP, _ABOVE = (np.uint64(b * (2**64 // 255)) for b in b"\x01\x30\x80\x76")
_POINTS = _ZEROS ^ np.uint64(_POINT * (2**64 // 255))
_PAIR, _UPPER, _LOWER = (np.uint64(i) for i in (0xFF000000FF, 1000000 << 32 | 100, 10000 << 32 | 1))


@compiled()
def count(text: Bytes) -> tuple[int, int]:
    """Number of newlines and of semicolons."""
    newlines = semicolons = 0
    for byte in text:
        newlines += byte == _NEWLINE
        semicolons += byte == _SEMICOLON
    return newlines, semicolons


@compiled()
def _where(marks: np.uint64) -> np.uint64:
    """Number of bytes below the lowest one whose highest bit is set; 8 if there is none."""
    below = (marks - _1) & ~marks & _TOP
    return (below >> np.uint64(7)) * _ONES >> _56


@compiled()
def _plain(word: np.uint64) -> tuple[np.int64, np.int64, np.int64]:
    """The digits that eight bytes begin with: their integer, how many are behind the point, bytes.

    No byte if there is no digit, or a second point. Digits become an integer in three
    multiplications (D. Lemire, Softw. Pract. Exp. 51 (2021) 1700).
    """
    word ^= _ZEROS
    others = (((word & ~_TOP) + _ABOVE) | word) & _TOP  # marks all that is no digit
    not_points = word ^ _POINTS
    ends = others & (((not_points & ~_TOP) + ~_TOP) | not_points)
    length, n = _where(ends), _where(others)
    point = np.uint64(n < length)
    digits = length - point
    if digits == _0 or (point and _where(others & (others - _1)) != length):
        return np.int64(0), np.int64(0), np.int64(0)
    behind = ~((_1 << (_8 * n & _56)) - _1) & (~point + _1)  # bytes from the point on, if any
    word = (word & ~behind) | ((word >> _8) & behind)
    word <<= _8 * (_8 - digits)
    word = word * np.uint64(10) + (word >> _8)
    integer = ((word & _PAIR) * _UPPER + ((word >> _16) & _PAIR) * _LOWER) >> _32
    return np.int64(integer), np.int64(digits - n), np.int64(length)


@compiled()
def _quotient(integer: np.int64, power: np.int64) -> float:
    """Integer / 10**power, correctly rounded; NaN where that is not certain.

    The remainder of the division is exact (T. J. Dekker, 1971, doi:10.1007/BF01397083), and what it
    adds to the quotient is known to 2**-38 of the quotient's last bit, or better.
    """
    high, divisor = float(integer), _POWERS[power]
    value = high / divisor
    product = value * divisor
    scaled, scaled_divisor = 134217729.0 * value, 134217729.0 * divisor  # 2**27 + 1
    a, b = scaled - (scaled - value), scaled_divisor - (scaled_divisor - divisor)
    c, d = value - a, divisor - b
    error = ((a * b - product) + a * d + c * b) + c * d
    remainder = (high - product) - error - value * _MISSING[power] + (integer - np.int64(high))
    rest, margin = remainder / divisor, 2.0**-90 * value
    return value + rest if value + (rest - margin) == value + (rest + margin) else np.nan


@compiled()
def _integer(text: Bytes, at: np.uint64, before: np.int64) -> tuple[np.int64, np.uint64]:
    """The digits at `at`, behind those of the integer `before`; and the byte after them."""
    digit = np.int64(text[at]) - _ZERO
    while 0 <= digit <= 9:
        before = 10 * before + digit
        at += _1
        digit = np.int64(text[at]) - _ZERO
    return before, at


@compiled()
def _number(text: Bytes, at: np.uint64) -> tuple[float, np.uint64]:
    """The number without sign at `at`, NaN if it is none or not certain; and where it ends."""
    begin, power = at, np.int64(0)
    integer, at = _integer(text, at, np.int64(0))
    digits = np.int64(at - begin)
    if text[at] == _POINT:
        point = at + _1
        integer, at = _integer(text, point, integer)
        power = np.int64(at - point)
        digits += power
    if digits == 0:
        return np.nan, at
    if digits > _DIGITS:
        while text[begin] == _ZERO or text[begin] == _POINT:
            digits -= text[begin] == _ZERO
            begin += _1
        if digits > _DIGITS:
            return np.nan, at
    if text[at] | 0x20 == _E:
        below = text[at + _1] == _MINUS
        begin = at + _1 + np.uint64(below or text[at + _1] == _PLUS)
        exponent, at = _integer(text, begin, np.int64(0))
        if not 0 < np.int64(at - begin) <= 3:
            return np.nan, at
        power += exponent if below else -exponent
    if integer <= _EXACT and -22 <= power <= 22:
        return integer / _POWERS[power] if power >= 0 else integer * _POWERS[-power], at
    return _quotient(integer, power) if 0 < power < len(_POWERS) else np.nan, at


@compiled()
def lines(
    text: Bytes,
    words: NDArray[np.uint64],
    stop: int,
    heads: int,
    legal: Floats,
    row: Ints,
    labels: Ints,
    slots: Ints,
    entry: Ints,
    counts: Ints,
    kinds: NDArray[np.int8],
    values: Floats,
) -> tuple[int, int]:
    """The lines up to byte `stop` as columns; the numbers of events and of particles.

    Parameters
    ----------
    words
        the eight bytes that begin at each of `text`.
    heads
        numbers before the particles: 4 with an event ID and a process ID behind it, 3 without, 2 in
        a fixed file.
    legal, row
        the least and the largest value of each number of the head and of a particle, and where its
        column begins in `values`. Three of a particle: a photon's g may touch the first.
    labels
        the bytes of each label as an integer, and its type, at the place that is this integer
        modulo the number of places.
    slots
        the type that each three columns of a fixed file are for.
    """
    at, n, k, line = _0, 0, 0, 0
    end = np.uint64(stop)
    is_fixed, has_ids, glued = heads == 2, heads == 4, len(row) - heads == 3
    while at < end:
        found, j, slot, padded, good = k, 0, 0, -1, False
        while True:
            word, behind = words[at], words[at + _1]
            negative = word & _BYTE == np.uint64(_MINUS)
            signed = negative | (word & _BYTE == np.uint64(_PLUS))
            integer, power, length = _plain(behind if signed else word)
            at += np.uint64(signed)
            byte = text[at + np.uint64(length)]
            if length and byte in (_COMMA, _SEMICOLON, _NEWLINE):
                value, at = integer / _POWERS[power], at + np.uint64(length)
            else:
                value, at = _number(text, at)
                byte = text[at]
            value = -value if negative else value
            if not legal[j, 0] <= value <= legal[j, 1]:
                break
            values[row[j] + (n if j < heads else found)] = value
            j += 1
            if j != heads and j != len(row):
                if byte != (_COMMA if is_fixed or j > heads else _SEMICOLON):
                    break
                at += _1
                if has_ids and j == 1:
                    begin = at
                    while 0x21 <= text[at] <= 0x7E and text[at] != _SEMICOLON:
                        at += _1
                    if at == begin or text[at] != _SEMICOLON:
                        break
                    at += _1
                continue
            # the head or a particle is whole
            if j > heads and not is_fixed:
                found += 1
            elif j > heads and value == values[row[2] + found] == values[row[3] + found] == 0:
                padded = kinds[found]
            elif j > heads:
                if values[row[2] + found] == 0 or padded == kinds[found]:
                    break
                found += 1
            j = heads
            if is_fixed:
                good = byte == _NEWLINE and slot == len(slots)
                if byte != _COMMA or slot == len(slots):
                    break
                kinds[found] = slots[slot]
                slot, at = slot + 1, at + _1
                continue
            at += np.uint64(byte == _SEMICOLON)
            good = text[at] == _NEWLINE
            if good or byte != _SEMICOLON:
                break
            if glued and text[at] == _G and text[at + _1] != _COMMA:
                label, at = np.int64(_G), at + _1
            else:
                label, begin = np.int64(0), at
                while text[at] != _COMMA and text[at] > 0x20 and at < begin + np.uint64(3):
                    label = label << 8 | np.int64(text[at])
                    at += _1
                if text[at] != _COMMA:
                    break
                at += _1
            place = label % len(labels)
            if labels[place, 0] != label:
                break
            kinds[found] = labels[place, 1]
        if good:
            entry[n], counts[n] = line, found - k
            n, k = n + 1, found
        while text[at] != _NEWLINE:
            at += _1
        at, line = at + _1, line + 1
    return n, k
