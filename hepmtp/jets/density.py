"""Densities of jets: of their tokens, and in physical space.

The rule: of the tokens, log p is the sum of n + 1 terms. In physical space a jet is a set of
constituents in log pt, eta and phi; probability is uniform within a bin.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import gammaln

from hepmtp.errors import OptionError
from hepmtp.events.ragged import Bools, Floats, Ints
from hepmtp.events.tokens import TokenBatch

#: Spread [nat] that a surprise is measured in at least, where a model is all but certain.
LEAST_SPREAD = 0.01


class JetDensity(NamedTuple):
    """Logarithms of the density of each jet [nat], shape (n_jets,) each."""

    log_p: Floats  #: of its tokens
    n_terms: Ints  #: constituents and stop
    log_p_physical: Floats  #: of its constituents as a set, in log pt, eta and phi
    outside: (
        Bools  #: has a constituent beyond the training range, where `log_p_physical` is a guess
    )
    by_factor: Floats  #: `log_p` of pt and stop, eta and phi apart, (n_jets, n_factors)
    expected: Floats  #: sum of what the model expects of log p, term by term, given those before
    variance: Floats  #: the same sum of its variances

    @property
    def per_term(self) -> Floats:
        """log p per term."""
        return np.asarray(self.log_p / self.n_terms)

    @property
    def excess(self) -> Floats:
        """Observed minus expected surprise, over its spread.

        The difference has the mean 0 over the model's own jets, whatever their multiplicity.
        """
        spread = np.maximum(np.sqrt(self.variance), LEAST_SPREAD)
        return np.asarray((self.expected - self.log_p) / spread)


def physical(log_p: Floats, log_volumes: Floats, first_digit: Ints, tokens: TokenBatch) -> Floats:
    """log p of the constituents as a set, shape (n_jets,).

    It is ``log p - sum log dV + sum_k log N_k! - log N!``, with N_k constituents in bin k of pt.
    Those of one bin have one order of N_k!, and a set has no order (arXiv:2511.15779).

    Parameters
    ----------
    log_p
        of the tokens, (n_jets,).
    log_volumes
        of the bin of each token, (n_tokens,).
    first_digit
        bin of pt of each token, (n_tokens,).
    """
    n, owner = len(tokens), tokens.owner
    if not len(owner):
        return log_p.copy()
    size = int(first_digit.max()) + 1
    place, together = np.unique(owner * size + first_digit, return_counts=True)
    orders = np.bincount(place // size, gammaln(together + 1.0), minlength=n)
    volumes = np.bincount(owner, log_volumes, minlength=n)
    return np.asarray(log_p - volumes + orders - gammaln(tokens.counts + 1.0))


def log_ratio(signal: JetDensity, background: JetDensity) -> Floats:
    """log p of the same jets under two models, the first minus the second, (n_jets,).

    For models of the same bins volumes and orders drop out. Such a ratio exaggerates where models
    are not exact (arXiv:2511.15779): set a direct classifier beside it.
    """
    if not np.array_equal(signal.n_terms, background.n_terms):
        raise OptionError("a ratio needs densities of the same jets under two models")
    return np.asarray(signal.log_p - background.log_p)
