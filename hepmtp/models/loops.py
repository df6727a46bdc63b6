"""Loops over the tokens of ragged events in machine code, compiled by numba and kept on disk.

The rule: each gives what torch gives, to float32 tolerance, and hands a NaN on. For the same, torch
needs groups of equal multiplicity and many passes over memory. Here, events come in any order, and
the keys of one stay in the cache of a core.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hepmtp.events.compiled import compiled
from hepmtp.events.ragged import Floats, Ints

_Singles = NDArray[np.float32]
_Places = NDArray[np.uint64]
# places are unsigned: whatever may be counted from the end is not computed sixteen at a time
_0, _1, _2, _3, _4 = (np.uint64(i) for i in range(5))
_EPSILON = np.float32(1e-5)  # of torch.nn.LayerNorm
# sums in any order, and fused multiplications; NaN and infinity are kept
_FAST = frozenset({"reassoc", "contract", "nsz"})
_LEAST = np.float32(-87)  # exp of it is the least float32 with all its digits
# exp(x) = 2**n exp(r): log2(e), log(2) in two parts, and the polynomial of Cephes' expf
_LOG2E, _HIGH, _LOW = np.float32(1.44269504), np.float32(0.693359375), np.float32(-2.12194440e-4)
_CEPHES = 1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 0.5
_C0, _C1, _C2, _C3, _C4, _C5 = (np.float32(one) for one in _CEPHES)
_HALF, _ONE, _NONE = np.float32(0.5), np.float32(1), np.float32(0)


@compiled(_FAST)
def _exp(x: np.float32) -> np.float32:
    """Exp of what is not above 0, to 2e-7 of it; sixteen at a time, as the library's is not."""
    x = _LEAST if x < _LEAST else x  # noqa: FURB136 (a NaN stays one)
    n = np.floor(x * _LOG2E + _HALF)
    r = x - n * _HIGH - n * _LOW
    p = ((((_C0 * r + _C1) * r + _C2) * r + _C3) * r + _C4) * r + _C5
    power = np.int32((np.int32(n) + 127) << 23).view(np.float32)
    return np.float32((p * r * r + r + _ONE) * power)


@compiled(_FAST)
def attended(
    queries: _Singles, keys: _Singles, values: _Singles, rows: _Places, ends: _Places, heads: int
) -> _Singles:
    """Mean of what each token hears of all others and the null token, (n_tokens, width).

    Parameters
    ----------
    queries
        (n_tokens, width).
    keys, values
        of each row of the memory, (n_rows, width); row 0 is that of the null token.
    rows
        that of each token, (n_tokens,).
    ends
        offsets of the events, (n_events + 1,).
    """
    out = np.empty_like(queries)
    width = np.uint64(queries.shape[1])
    most = _0
    for event in range(len(ends) - 1):
        most = max(most, ends[event + 1] - ends[event])
    # what an event needs, one row each; room for three more, so that four are taken at a time
    k, v = np.zeros((most + _4) * width, np.float32), np.zeros((most + _4) * width, np.float32)
    q, o, p = (
        np.zeros(width, np.float32),
        np.zeros(width, np.float32),
        np.zeros(most + _4, np.float32),
    )
    size = width // np.uint64(heads)
    for event in range(len(ends) - 1):
        start, n = ends[event], ends[event + 1] - ends[event]
        for j in range(n + _1):
            row = rows[start + j - _1] if j > _0 else _0
            for c in range(width):
                k[j * width + c] = keys[row, c]
                v[j * width + c] = values[row, c]
        for i in range(n):
            for c in range(width):
                q[c] = queries[start + i, c]
                o[c] = _NONE
            for first in range(_0, width, size):
                for j in range(n + _1):
                    logit = _NONE
                    for c in range(first, first + size):
                        logit += q[c] * k[j * width + c]
                    p[j] = logit
                p[i + _1] = -np.inf  # its own token is left out
                top = p[_0]
                for j in range(_1, n + _1):
                    top = max(top, p[j])
                for j in range(n + _1):
                    p[j] = _exp(p[j] - top)
                total = _NONE
                for j in range(n + _1):
                    total += p[j]
                for j in range(n + _1, n + _4):
                    p[j] = _NONE
                for j in range(_0, n + _1, _4):
                    p0, p1, p2, p3 = p[j], p[j + _1], p[j + _2], p[j + _3]
                    for c in range(first, first + size):
                        at = j * width + c
                        o[c] += (
                            p0 * v[at]
                            + p1 * v[at + width]
                            + p2 * v[at + _2 * width]
                            + p3 * v[at + _3 * width]
                        )
                for c in range(first, first + size):
                    o[c] /= total
            for c in range(width):
                out[start + i, c] = o[c]
    return out


@compiled(_FAST)
def attended_by_kind(
    weights: _Singles,
    values: _Singles,
    rows: _Places,
    kinds: _Places,
    ends: _Places,
) -> _Singles:
    """As `attended`, where queries are of kinds: two running sums an event and kind.

    What comes before a token and what comes behind it are added up apart, since to take it out of a
    sum of all would leave nothing of small weights.

    Parameters
    ----------
    weights
        exp of the logits of each kind, row of the memory and head, (n_kinds, n_rows, heads), times
        any factor of a kind and head.
    kinds
        that of each token, (n_tokens,).
    """
    heads, width = np.uint64(weights.shape[2]), np.uint64(values.shape[1])
    size = width // heads
    out = np.zeros((len(rows), values.shape[1]), np.float32)
    total = np.zeros((len(rows), weights.shape[2]), np.float32)
    o, t = np.zeros(width, np.float32), np.zeros(heads, np.float32)
    for event in range(len(ends) - 1):
        start, n = ends[event], ends[event + 1] - ends[event]
        for kind in range(np.uint64(weights.shape[0])):
            for backward in range(2):
                o[:], t[:] = _NONE, _NONE
                for step in range(n + _1):  # forward, the null token comes first
                    if step == _0 and backward:
                        continue
                    token = start + (n - step if backward else step - _1)
                    row = rows[token] if step > _0 else _0
                    if step > _0 and kinds[token] == kind:
                        for c in range(width):
                            out[token, c] += o[c]
                        for head in range(heads):
                            total[token, head] += t[head]
                    for head in range(heads):
                        weight = weights[kind, row, head]
                        t[head] += weight
                        for c in range(head * size, head * size + size):
                            o[c] += weight * values[row, c]
    for token in range(np.uint64(len(rows))):
        for head in range(heads):
            for c in range(head * size, head * size + size):
                out[token, c] /= total[token, head]
    return out


@compiled(_FAST)
def normed(x: _Singles, weight: _Singles, bias: _Singles) -> _Singles:
    """Layer norm of each row of x, (n, width)."""
    out = np.empty_like(x)
    n, width = np.uint64(x.shape[0]), np.uint64(x.shape[1])
    for i in range(n):
        mean = spread = _NONE
        for c in range(width):
            mean += x[i, c]
        mean /= np.float32(width)
        for c in range(width):
            spread += (x[i, c] - mean) * (x[i, c] - mean)
        scale = _ONE / np.sqrt(spread / np.float32(width) + _EPSILON)
        for c in range(width):
            out[i, c] = (x[i, c] - mean) * scale * weight[c] + bias[c]
    return out


@compiled(_FAST)
def moments(
    log_p: _Singles,
    true: Ints,
    rows: Ints,
    surprise: Floats,
    expected: Floats,
    variance: Floats,
    tail: Floats,
    predicted: Ints,
) -> None:
    """Fill in what `Surprises` lists of one head, (n_tokens,), where a token has a class of it.

    Parameters
    ----------
    log_p
        logarithms of probabilities, (size, n_asked); their sum may be off as float32 is.
    true
        class of each, or -1, (n_asked,).
    rows
        where each is in what is filled in, (n_asked,).
    """
    size = log_p.shape[0]
    p = np.empty(size)
    for i in range(len(true)):
        if true[i] < 0:
            continue
        row, most, total = rows[i], 0, 0.0
        for d in range(size):
            most = d if log_p[d, i] > log_p[most, i] else most
            p[d] = math.exp(np.float64(log_p[d, i]))  # float32 knows nothing below exp(-104)
            total += p[d]
        shift, mean, spread, above = math.log(total), 0.0, 0.0, 0.0
        for d in range(size):
            p[d] /= total
            mean += p[d] * (log_p[d, i] - shift)
            above += p[d] if d > true[i] else 0.0
        for d in range(size):
            spread += p[d] * (log_p[d, i] - shift - mean) ** 2
        own = log_p[true[i], i] - shift
        beyond = -math.log(above + math.exp(own) / 2)
        surprise[row], expected[row], variance[row] = -own, -mean, spread
        tail[row] = 0.0 if beyond < 0 else beyond
        predicted[row] = most
