"""The masked-token detector.

`surprise` is that of each token, `forms` what becomes of it in the score of an event, `remembered`
what all forms share, `detector` the whole, and `saved` its folder. `why` and `inside` look into one
that is fitted.
"""

from __future__ import annotations
