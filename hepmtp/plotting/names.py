"""Names of scores, regions and parameters as a figure shows them.

The rule: a name that hepmtp gave is written in words or TeX. What a user has written in TeX stays,
and else an underscore is a space.
"""

from __future__ import annotations

from collections.abc import Mapping

from hepmtp.events.variations import VARIATIONS
from hepmtp.plotting.colours import process_style

#: Names of scores, regions, and tokens' parts.
WORDS: Mapping[str, str] = {
    "anomaly": "anomaly score",
    "n_jets": "$n_{jets}$",
    "n_b": "$n_b$",
    "ht": "$H_T$",
    "met": r"$E_T^{miss}$",
    "MET": r"$E_T^{miss}$",
    "METphi": r"$\phi(E_T^{miss})$",
    "pt": "$p_T$",
    "eta": r"$\eta$",
    "abs_eta": r"$|\eta|$",
    "phi": r"$\phi$",
    "ttW+": r"$t\bar{t}W^{+}$",
    "ttW-": r"$t\bar{t}W^{-}$",
    "ttW_plus": r"$t\bar{t}W^{+}$",
    "ttW_minus": r"$t\bar{t}W^{-}$",
    "ttZ": r"$t\bar{t}Z$",
    "lumi": "luminosity",
}
#: Particle types, in the order of `hepmtp.events.particles.CONSTITUENT_TYPES`.
PARTICLES: Mapping[str, str] = {
    "j": "jet",
    "b": "b-jet",
    "e+": "$e^+$",
    "e-": "$e^-$",
    "m+": r"$\mu^+$",
    "m-": r"$\mu^-$",
    "g": r"$\gamma$",
    "h+": "$h^+$",
    "h-": "$h^-$",
    "h0": "$h^0$",
    "unspecified": "unspecified",
}
#: What a parameter of the fit is, by the beginning of its name; a data set follows.
OF_DATASET: Mapping[str, str] = {"xsec_": "cross-section", "norm_": "normalisation"}
#: Beginning of the names of forms of the masked-token score.
MASKED = "masked_token"


def words(name: str) -> str:
    """A name for a reader.

    Examples
    --------
    >>> words("n_b"), words("masked_token_pt"), words("my_score"), words("$x_1$")
    ('$n_b$', 'masked token, $p_T$', 'my score', '$x_1$')
    """
    if name in WORDS:
        return WORDS[name]
    if "$" in name:
        return name
    form = name.removeprefix(f"{MASKED}_")
    if form != name:
        return f"masked token, {words(form)}"
    return name.replace("_", " ")


def parameter(name: str, names: Mapping[str, str] | None = None) -> str:
    """A parameter of a fit for a reader; `names` holds TeX labels of data sets.

    Examples
    --------
    >>> parameter("xsec_ttbarWW"), parameter("b_mistag")
    ('cross-section $t\\\\bar{t}WW$', 'b-mistag rate')
    """
    for start, what in OF_DATASET.items():
        if name.startswith(start):
            dataset = name.removeprefix(start)
            return f"{what} {process_style([dataset], names)[dataset][0]}"
    known = {one.name: one.label for one in VARIATIONS}
    return known.get(name) or words(name)
