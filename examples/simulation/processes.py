"""Processes: what is generated, with which cross-section, and from which matrix elements.

The rule: a row here is all that a new process needs. One without settings of Pythia needs a file of
matrix elements (LHE).
"""

from __future__ import annotations

from typing import NamedTuple

#: Beam energy and random numbers aside, what every run of Pythia has: its default tune 14, and no
#: pile-up.
COMMON: tuple[str, ...] = (
    "Beams:eCM = 13000.",
    "Tune:pp = 14",
    "Print:quiet = on",
    "Random:setSeed = on",
)
#: Integrated luminosity that the weights stand for [1/pb].
LUMINOSITY = 139_000.0


class Process(NamedTuple):
    """Name, cross-section [pb], settings of Pythia's own matrix elements, SLHA spectrum if any.

    `leptons` names what the hard decays and then the reconstructed event must have: see
    `filters.LEPTONS`.
    """

    name: str
    cross_section: float
    settings: tuple[str, ...] = ()
    slha: str = ""
    leptons: str = "multilepton"


def gluino_slha(m_gluino: float, m_neutralino: float) -> str:
    """An SLHA spectrum [GeV]: a gluino that always decays to two tops and a stable neutralino.

    Everything else at 10 TeV.

    Three-body decays follow phase space.
    """
    if m_gluino <= m_neutralino + 2 * 173.0:
        raise ValueError(
            f"a gluino of {m_gluino:g} GeV cannot decay to two tops and a neutralino of "
            f"{m_neutralino:g} GeV"
        )
    return _slha(
        {1000021: m_gluino, 1000022: m_neutralino},
        {1000021: (1000022, 6, -6), 1000022: ()},
    )


def sbottom_slha(m_sbottom: float, m_chargino: float, m_neutralino: float) -> str:
    """An SLHA spectrum [GeV]: a sbottom that always decays to a top and a chargino.

    The chargino decays to a W and a stable neutralino; everything else is at 10 TeV.
    """
    if m_sbottom <= m_chargino + 173.0 or m_chargino <= m_neutralino + 81.0:
        raise ValueError(
            f"masses of {m_sbottom:g}, {m_chargino:g} and {m_neutralino:g} GeV: the sbottom must "
            "be able to decay to top and chargino, the chargino to W and neutralino"
        )
    return _slha(
        {1000005: m_sbottom, 1000024: m_chargino, 1000022: m_neutralino},
        {1000005: (-1000024, 6), 1000024: (1000022, 24), 1000022: ()},
    )


def _slha(masses: dict[int, float], decays: dict[int, tuple[int, ...]]) -> str:
    """The spectrum with these masses [GeV], the rest at 10 TeV, and one decay for each."""
    squarks = [1000000 + i for i in range(1, 7)] + [2000000 + i for i in range(1, 7)]
    sleptons = [1000000 + i for i in range(11, 17)] + [2000011, 2000013, 2000015]
    others = [1000021, 1000023, 1000024, 1000025, 1000035, 1000037]
    masses = masses | {code: 1e4 for code in (*squarks, *sleptons, *others) if code not in masses}
    lines = [
        "BLOCK MODSEL",
        "  1  1",
        "BLOCK MASS",
        *(f"  {code}  {mass:.8e}" for code, mass in masses.items()),
    ]
    for code, products in decays.items():
        lines.append(f"DECAY {code} {1.0 if products else 0.0}")
        if products:
            lines.append(f"  1.0  {len(products)}  " + "  ".join(map(str, products)))
    return "\n".join(lines) + "\n"


_DECAYS = ("SLHA:useDecayTable = on", "SLHA:verbose = 0")
_GLUINOS = ("SUSY:gg2gluinogluino = on", "SUSY:qqbar2gluinogluino = on", *_DECAYS)
_SBOTTOMS = (
    "SUSY:gg2squarkantisquark = on",
    "SUSY:qqbar2squarkantisquark = on",
    "SUSY:idA = 1000005",
    "SUSY:idB = 1000005",
    *_DECAYS,
)
_PROCESSES = (
    Process("ttbarW", 0.722),
    Process("ttbarZ", 0.880),
    Process("ttbarHiggs", 0.507, ("HiggsSM:gg2Httbar = on", "HiggsSM:qqbar2Httbar = on")),
    Process("ttbarWW", 0.0099),
    Process("4top", 0.012),
    Process("glgl1600_neutralino800", 0.00887, _GLUINOS, gluino_slha(1600.0, 800.0)),
    Process("glgl1600_neutralino1200", 0.00887, _GLUINOS, gluino_slha(1600.0, 1200.0)),
    Process(
        "sbsb900_chargino350_neutralino100", 0.0145, _SBOTTOMS, sbottom_slha(900.0, 350.0, 100.0)
    ),
    Process("ttbar", 831.76, ("Top:gg2ttbar = on", "Top:qqbar2ttbar = on"), leptons="lepton"),
)
#: The processes by name. Cross-sections: 13 TeV, NLO or better; those of the embedded sample,
#: NNLO + NNLL for ttbar, and about that for sbottoms.
PROCESSES: dict[str, Process] = {process.name: process for process in _PROCESSES}
