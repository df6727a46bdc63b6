"""hepmtp: masked-token prediction for LHC anomaly detection, as coffea processors without padding.

The rule: ``import hepmtp`` is cheap; a name is imported (and torch, coffea or matplotlib with it)
when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the same names as in _HOMES, for type checkers and editors
    from hepmtp.datasets.fetch import fetch as fetch
    from hepmtp.datasets.files import fileset as fileset, read as read
    from hepmtp.datasets.manifest import (
        Dataset as Dataset,
        embedded as embedded,
        embedded_jets as embedded_jets,
        load_manifest as load_manifest,
    )
    from hepmtp.datasets.published import load_records as load_records
    from hepmtp.detectors import load_detector as load_detector
    from hepmtp.detectors.calibrated.detector import Calibrated as Calibrated
    from hepmtp.detectors.combination import Combination as Combination
    from hepmtp.detectors.cross_fitted import CrossFitted as CrossFitted
    from hepmtp.detectors.deep_svdd import DeepSVDD as DeepSVDD
    from hepmtp.detectors.density import JetDensityDetector as JetDensityDetector
    from hepmtp.detectors.distortion import DistortionDetector as DistortionDetector
    from hepmtp.detectors.ecod import ECOD as ECOD
    from hepmtp.detectors.event_network import NetworkTraining as NetworkTraining
    from hepmtp.detectors.export.folder import export_detector as export_detector
    from hepmtp.detectors.flow import Flow as Flow
    from hepmtp.detectors.isolation_forest import IsolationForest as IsolationForest
    from hepmtp.detectors.jet_scores import jet_scores as jet_scores
    from hepmtp.detectors.likelihood import (
        JetLogDensity as JetLogDensity,
        JetRatioDetector as JetRatioDetector,
    )
    from hepmtp.detectors.masked_token.detector import MaskedTokenDetector as MaskedTokenDetector
    from hepmtp.detectors.masked_token.inside import (
        attention_of as attention_of,
        confusion_of as confusion_of,
        embeddings_of as embeddings_of,
    )
    from hepmtp.detectors.masked_token.why import particle_surprises as particle_surprises
    from hepmtp.detectors.named import Named as Named
    from hepmtp.detectors.observables import Observable as Observable
    from hepmtp.detectors.stranger import (
        StrangerDetector as StrangerDetector,
        StrangerTraining as StrangerTraining,
    )
    from hepmtp.detectors.supervised import SupervisedDetector as SupervisedDetector
    from hepmtp.detectors.token_rarity import TokenRarity as TokenRarity
    from hepmtp.detectors.vae import VAE as VAE
    from hepmtp.errors import HepmtpError as HepmtpError
    from hepmtp.events.channels import CHANNELS as CHANNELS
    from hepmtp.events.collections import events_from as events_from
    from hepmtp.events.cuts import Cut as Cut, window as window
    from hepmtp.events.distortions import DISTORTIONS as DISTORTIONS, distort as distort
    from hepmtp.events.jet_events import jets_from as jets_from
    from hepmtp.events.observables import event_features as event_features
    from hepmtp.events.record import (
        check_events as check_events,
        concatenate as concatenate,
        make_events as make_events,
    )
    from hepmtp.events.regions import REGIONS as REGIONS, Region as Region
    from hepmtp.events.split import split_of as split_of
    from hepmtp.events.stranger import make_stranger as make_stranger
    from hepmtp.events.tokens import TokenBatch as TokenBatch
    from hepmtp.events.variables import Variable as Variable
    from hepmtp.jets.density import JetDensity as JetDensity
    from hepmtp.jets.language_model import JetLanguageModel as JetLanguageModel
    from hepmtp.jets.regions import JET_REGIONS as JET_REGIONS
    from hepmtp.jets.tagger import JetTagger as JetTagger
    from hepmtp.models.autoregressive_options import AutoregressiveOptions as AutoregressiveOptions
    from hepmtp.models.classifier import ClassifierOptions as ClassifierOptions
    from hepmtp.models.marginal import MarginalOptions as MarginalOptions
    from hepmtp.models.masked import ModelOptions as ModelOptions
    from hepmtp.plugins import allow_plugins as allow_plugins
    from hepmtp.readers.darkmachines.reader import DarkMachinesCSV as DarkMachinesCSV
    from hepmtp.readers.delphes import Delphes as Delphes
    from hepmtp.readers.dm_ntuple import DMNtuple as DMNtuple
    from hepmtp.readers.flat_ntuple import FlatNtuple as FlatNtuple
    from hepmtp.readers.formats import load_reader as load_reader, reader_for as reader_for
    from hepmtp.readers.fourtops import FourTopsHDF5 as FourTopsHDF5
    from hepmtp.readers.inspect_file import inspect as inspect
    from hepmtp.readers.jetclass import JetClass as JetClass
    from hepmtp.readers.nanoaod import NanoAOD as NanoAOD
    from hepmtp.readers.parquet import ParquetReader as ParquetReader
    from hepmtp.readers.physlite import Physlite as Physlite
    from hepmtp.readers.root import RootReader as RootReader
    from hepmtp.report.fit_folder import write_fit as write_fit
    from hepmtp.report.hepdata.submission import write_hepdata as write_hepdata
    from hepmtp.report.run_fit import fit_run as fit_run
    from hepmtp.report.run_workspace import open_run as open_run, workspace as workspace
    from hepmtp.run.executors import make_executor as make_executor
    from hepmtp.run.rivals import (
        anomaly_score as anomaly_score,
        plain_observables as plain_observables,
    )
    from hepmtp.run.runner import HepRunner as HepRunner
    from hepmtp.statistics.comparison import compare as compare
    from hepmtp.statistics.histograms import rebin as rebin
    from hepmtp.statistics.results import fit as fit
    from hepmtp.statistics.thresholds import threshold as threshold
    from hepmtp.statistics.workspace import Uncertainties as Uncertainties
    from hepmtp.studies.league.run import run_league as run_league
    from hepmtp.studies.prediction import (
        PREDICTIONS as PREDICTIONS,
        prediction_detector as prediction_detector,
        prediction_report as prediction_report,
    )
    from hepmtp.tokenizers import load_tokenizer as load_tokenizer
    from hepmtp.tokenizers.autoencoder import AutoencoderOptions as AutoencoderOptions
    from hepmtp.tokenizers.constituents import ConstituentTokenizer as ConstituentTokenizer
    from hepmtp.tokenizers.continuous import ContinuousInputs as ContinuousInputs
    from hepmtp.tokenizers.fsq import FSQTokenizer as FSQTokenizer
    from hepmtp.tokenizers.graph_vq import GraphVQTokenizer as GraphVQTokenizer
    from hepmtp.tokenizers.lookup import LookupTokenizer as LookupTokenizer
    from hepmtp.tokenizers.vqvae import VQVAETokenizer as VQVAETokenizer
    from hepmtp.training.classify import ClassifierTraining as ClassifierTraining
    from hepmtp.training.masking import TrainingOptions as TrainingOptions
    from hepmtp.training.next_token import NextTokenOptions as NextTokenOptions

    __version__: str

#: Modules and the public names that live in them.
_MODULES = {
    "datasets.fetch": "fetch",
    "datasets.files": "fileset read",
    "datasets.manifest": "Dataset embedded embedded_jets load_manifest",
    "datasets.published": "load_records",
    "detectors": "load_detector",
    "detectors.calibrated.detector": "Calibrated",
    "detectors.combination": "Combination",
    "detectors.cross_fitted": "CrossFitted",
    "detectors.deep_svdd": "DeepSVDD",
    "detectors.density": "JetDensityDetector",
    "detectors.distortion": "DistortionDetector",
    "detectors.ecod": "ECOD",
    "detectors.event_network": "NetworkTraining",
    "detectors.export.folder": "export_detector",
    "detectors.flow": "Flow",
    "detectors.isolation_forest": "IsolationForest",
    "detectors.jet_scores": "jet_scores",
    "detectors.likelihood": "JetLogDensity JetRatioDetector",
    "detectors.masked_token.detector": "MaskedTokenDetector",
    "detectors.masked_token.inside": "attention_of confusion_of embeddings_of",
    "detectors.masked_token.why": "particle_surprises",
    "detectors.named": "Named",
    "detectors.observables": "Observable",
    "detectors.stranger": "StrangerDetector StrangerTraining",
    "detectors.supervised": "SupervisedDetector",
    "detectors.token_rarity": "TokenRarity",
    "detectors.vae": "VAE",
    "errors": "HepmtpError",
    "events.channels": "CHANNELS",
    "events.collections": "events_from",
    "events.cuts": "Cut window",
    "events.distortions": "DISTORTIONS distort",
    "events.jet_events": "jets_from",
    "events.observables": "event_features",
    "events.record": "check_events concatenate make_events",
    "events.regions": "REGIONS Region",
    "events.split": "split_of",
    "events.stranger": "make_stranger",
    "events.tokens": "TokenBatch",
    "events.variables": "Variable",
    "jets.density": "JetDensity",
    "jets.language_model": "JetLanguageModel",
    "jets.regions": "JET_REGIONS",
    "jets.tagger": "JetTagger",
    "models.autoregressive_options": "AutoregressiveOptions",
    "models.classifier": "ClassifierOptions",
    "models.marginal": "MarginalOptions",
    "models.masked": "ModelOptions",
    "plugins": "allow_plugins",
    "readers.darkmachines.reader": "DarkMachinesCSV",
    "readers.delphes": "Delphes",
    "readers.dm_ntuple": "DMNtuple",
    "readers.flat_ntuple": "FlatNtuple",
    "readers.formats": "load_reader reader_for",
    "readers.fourtops": "FourTopsHDF5",
    "readers.inspect_file": "inspect",
    "readers.jetclass": "JetClass",
    "readers.nanoaod": "NanoAOD",
    "readers.parquet": "ParquetReader",
    "readers.physlite": "Physlite",
    "readers.root": "RootReader",
    "report.fit_folder": "write_fit",
    "report.hepdata.submission": "write_hepdata",
    "report.run_fit": "fit_run",
    "report.run_workspace": "open_run workspace",
    "run.executors": "make_executor",
    "run.rivals": "anomaly_score plain_observables",
    "run.runner": "HepRunner",
    "statistics.comparison": "compare",
    "statistics.thresholds": "threshold",
    "statistics.histograms": "rebin",
    "statistics.results": "fit",
    "statistics.workspace": "Uncertainties",
    "studies.league.run": "run_league",
    "studies.prediction": "PREDICTIONS prediction_detector prediction_report",
    "tokenizers": "load_tokenizer",
    "tokenizers.autoencoder": "AutoencoderOptions",
    "tokenizers.constituents": "ConstituentTokenizer",
    "tokenizers.continuous": "ContinuousInputs",
    "tokenizers.fsq": "FSQTokenizer",
    "tokenizers.graph_vq": "GraphVQTokenizer",
    "tokenizers.lookup": "LookupTokenizer",
    "tokenizers.vqvae": "VQVAETokenizer",
    "training.classify": "ClassifierTraining",
    "training.masking": "TrainingOptions",
    "training.next_token": "NextTokenOptions",
}
#: Public names and the module that each lives in.
_HOMES = {name: module for module, names in _MODULES.items() for name in names.split()}

__all__ = ["__version__", *_HOMES]  # noqa: PLE0604

if not TYPE_CHECKING:  # a type checker must not take every misspelt name for Any

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            from importlib.metadata import version  # noqa: PLC0415 - slow, and seldom asked for

            return version("hepmtp")
        if name not in _HOMES:
            raise AttributeError(f"module 'hepmtp' has no attribute {name!r}")
        return getattr(importlib.import_module(f"hepmtp.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
