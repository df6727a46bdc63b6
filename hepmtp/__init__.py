"""hepmtp: masked-token prediction for LHC anomaly detection, as coffea processors without padding.

The rule: ``import hepmtp`` is cheap; a name is imported (and torch, coffea or matplotlib with it)
when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the same names as in _HOMES, for type checkers and editors
    from hepmtp.datasets.fetch import fetch as fetch
    from hepmtp.datasets.files import fileset as fileset
    from hepmtp.datasets.files import read as read
    from hepmtp.datasets.manifest import Dataset as Dataset
    from hepmtp.datasets.manifest import embedded as embedded
    from hepmtp.datasets.manifest import load_manifest as load_manifest
    from hepmtp.datasets.manifest import load_records as load_records
    from hepmtp.detectors import load_detector as load_detector
    from hepmtp.detectors.combination import Combination as Combination
    from hepmtp.detectors.deep_svdd import DeepSVDD as DeepSVDD
    from hepmtp.detectors.distortion import DistortionDetector as DistortionDetector
    from hepmtp.detectors.ecod import ECOD as ECOD
    from hepmtp.detectors.event_network import NetworkTraining as NetworkTraining
    from hepmtp.detectors.flow import Flow as Flow
    from hepmtp.detectors.isolation_forest import IsolationForest as IsolationForest
    from hepmtp.detectors.masked_token.detector import MaskedTokenDetector as MaskedTokenDetector
    from hepmtp.detectors.observables import Observable as Observable
    from hepmtp.detectors.supervised import SupervisedDetector as SupervisedDetector
    from hepmtp.detectors.token_rarity import TokenRarity as TokenRarity
    from hepmtp.detectors.vae import VAE as VAE
    from hepmtp.errors import HepmtpError as HepmtpError
    from hepmtp.events.distortions import DISTORTIONS as DISTORTIONS
    from hepmtp.events.distortions import distort as distort
    from hepmtp.events.observables import event_features as event_features
    from hepmtp.events.record import check_events as check_events
    from hepmtp.events.record import concatenate as concatenate
    from hepmtp.events.record import make_events as make_events
    from hepmtp.events.regions import REGIONS as REGIONS
    from hepmtp.events.regions import Region as Region
    from hepmtp.events.split import split_of as split_of
    from hepmtp.events.tokens import TokenBatch as TokenBatch
    from hepmtp.models.classifier import ClassifierOptions as ClassifierOptions
    from hepmtp.models.masked import ModelOptions as ModelOptions
    from hepmtp.readers.darkmachines.reader import DarkMachinesCSV as DarkMachinesCSV
    from hepmtp.readers.delphes import Delphes as Delphes
    from hepmtp.readers.dm_ntuple import DMNtuple as DMNtuple
    from hepmtp.readers.formats import load_reader as load_reader
    from hepmtp.readers.formats import reader_for as reader_for
    from hepmtp.readers.fourtops import FourTopsHDF5 as FourTopsHDF5
    from hepmtp.readers.inspect_file import inspect as inspect
    from hepmtp.readers.jetclass import JetClass as JetClass
    from hepmtp.readers.nanoaod import NanoAOD as NanoAOD
    from hepmtp.readers.parquet import ParquetReader as ParquetReader
    from hepmtp.readers.physlite import Physlite as Physlite
    from hepmtp.readers.root import RootReader as RootReader
    from hepmtp.run.executors import make_executor as make_executor
    from hepmtp.run.runner import HepRunner as HepRunner
    from hepmtp.statistics.comparison import compare as compare
    from hepmtp.statistics.comparison import threshold as threshold
    from hepmtp.statistics.histograms import rebin as rebin
    from hepmtp.studies.league.run import run_league as run_league
    from hepmtp.studies.prediction import PREDICTIONS as PREDICTIONS
    from hepmtp.studies.prediction import prediction_detector as prediction_detector
    from hepmtp.studies.prediction import prediction_report as prediction_report
    from hepmtp.tokenizers import load_tokenizer as load_tokenizer
    from hepmtp.tokenizers.autoencoder import AutoencoderOptions as AutoencoderOptions
    from hepmtp.tokenizers.continuous import ContinuousInputs as ContinuousInputs
    from hepmtp.tokenizers.fsq import FSQTokenizer as FSQTokenizer
    from hepmtp.tokenizers.graph_vq import GraphVQTokenizer as GraphVQTokenizer
    from hepmtp.tokenizers.lookup import LookupTokenizer as LookupTokenizer
    from hepmtp.tokenizers.vqvae import VQVAETokenizer as VQVAETokenizer
    from hepmtp.training.classify import ClassifierTraining as ClassifierTraining
    from hepmtp.training.masking import TrainingOptions as TrainingOptions

    __version__: str

#: Public names and the module that each lives in.
_HOMES: dict[str, str] = {
    "AutoencoderOptions": "tokenizers.autoencoder",
    "ClassifierOptions": "models.classifier",
    "ClassifierTraining": "training.classify",
    "Combination": "detectors.combination",
    "ContinuousInputs": "tokenizers.continuous",
    "DISTORTIONS": "events.distortions",
    "DMNtuple": "readers.dm_ntuple",
    "DarkMachinesCSV": "readers.darkmachines.reader",
    "Dataset": "datasets.manifest",
    "DeepSVDD": "detectors.deep_svdd",
    "Delphes": "readers.delphes",
    "DistortionDetector": "detectors.distortion",
    "ECOD": "detectors.ecod",
    "FSQTokenizer": "tokenizers.fsq",
    "Flow": "detectors.flow",
    "FourTopsHDF5": "readers.fourtops",
    "GraphVQTokenizer": "tokenizers.graph_vq",
    "HepRunner": "run.runner",
    "HepmtpError": "errors",
    "IsolationForest": "detectors.isolation_forest",
    "JetClass": "readers.jetclass",
    "LookupTokenizer": "tokenizers.lookup",
    "MaskedTokenDetector": "detectors.masked_token.detector",
    "ModelOptions": "models.masked",
    "NanoAOD": "readers.nanoaod",
    "NetworkTraining": "detectors.event_network",
    "Observable": "detectors.observables",
    "PREDICTIONS": "studies.prediction",
    "ParquetReader": "readers.parquet",
    "Physlite": "readers.physlite",
    "REGIONS": "events.regions",
    "Region": "events.regions",
    "RootReader": "readers.root",
    "SupervisedDetector": "detectors.supervised",
    "TokenBatch": "events.tokens",
    "TokenRarity": "detectors.token_rarity",
    "TrainingOptions": "training.masking",
    "VAE": "detectors.vae",
    "VQVAETokenizer": "tokenizers.vqvae",
    "check_events": "events.record",
    "compare": "statistics.comparison",
    "concatenate": "events.record",
    "distort": "events.distortions",
    "embedded": "datasets.manifest",
    "event_features": "events.observables",
    "fetch": "datasets.fetch",
    "fileset": "datasets.files",
    "inspect": "readers.inspect_file",
    "load_detector": "detectors",
    "load_manifest": "datasets.manifest",
    "load_reader": "readers.formats",
    "load_records": "datasets.manifest",
    "load_tokenizer": "tokenizers",
    "make_events": "events.record",
    "make_executor": "run.executors",
    "prediction_detector": "studies.prediction",
    "prediction_report": "studies.prediction",
    "read": "datasets.files",
    "reader_for": "readers.formats",
    "rebin": "statistics.histograms",
    "run_league": "studies.league.run",
    "split_of": "events.split",
    "threshold": "statistics.comparison",
}

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
