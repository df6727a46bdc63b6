import awkward as ak
from coffea.nanoevents import NanoAODSchema
from coffea.processor import IterativeExecutor, Runner
from hist import Hist, axis

import hepmtp as hm

detector = hm.load_detector("detectors/anomaly")


def process(events):
    jets = events.Jet[(events.Jet.pt > 25) & ((events.Jet.jetId & 2) > 0)]
    muons = events.Muon[(events.Muon.pt > 15) & events.Muon.mediumId]
    electrons = events.Electron[(events.Electron.pt > 15) & (events.Electron.cutBased >= 3)]
    rest = {"electrons": electrons, "muons": muons, "photons": None, "met": events.PuppiMET}
    h = Hist(axis.StrCategory([], growth=True, name="shift"), detector.axis, storage="weight")
    for shift, mine in {"nominal": jets, "up": ak.with_field(jets, 1.02 * jets.pt, "pt")}.items():
        x = hm.events_from(events, jets=mine, b_tag=("btagDeepFlavB", 0.2783), **rest)
        events["anomaly"] = detector.score(x)
        h.fill(shift, events.anomaly, weight=events.genWeight)
    return h


runner = Runner(IterativeExecutor(), schema=NanoAODSchema)
output = runner({"tt": ["nano.root"]}, process, treename="Events")
