"""Jets as sentences: observables, regions, the language model of a data set, samples and densities.

The rule: a jet is an event, and its constituents are the particles. A language model is one of a
named data set.
"""

from __future__ import annotations
