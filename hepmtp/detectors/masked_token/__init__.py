"""The masked-token detector.

Surprises of tokens, forms of the score, tail probabilities, detector.
"""

from __future__ import annotations
