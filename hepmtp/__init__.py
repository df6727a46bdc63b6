"""hepmtp: masked-token prediction for LHC anomaly detection, as coffea processors without padding.

The rule: ``import hepmtp`` is cheap; a name is imported (and torch, coffea or matplotlib with it) when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the same names as in _HOMES, for type checkers and editors
    from hepmtp.comparison import compare as compare
    from hepmtp.comparison import threshold as threshold
    from hepmtp.detectors import load_detector as load_detector
    from hepmtp.detectors.combination import Combination as Combination
    from hepmtp.detectors.deep_svdd import DeepSVDD as DeepSVDD
    from hepmtp.detectors.distortion import DistortionDetector as DistortionDetector
    from hepmtp.detectors.ecod import ECOD as ECOD
    from hepmtp.detectors.event_network import NetworkTraining as NetworkTraining
    from hepmtp.detectors.flow import Flow as Flow
    from hepmtp.detectors.isolation_forest import IsolationForest as IsolationForest
    from hepmtp.detectors.masked_token import MaskedTokenDetector as MaskedTokenDetector
    from hepmtp.detectors.observables import Observable as Observable
    from hepmtp.detectors.supervised import SupervisedDetector as SupervisedDetector
    from hepmtp.detectors.token_rarity import TokenRarity as TokenRarity
    from hepmtp.detectors.vae import VAE as VAE
    from hepmtp.distortions import DISTORTIONS as DISTORTIONS
    from hepmtp.distortions import distort as distort
    from hepmtp.download import fetch as fetch
    from hepmtp.errors import HepmtpError as HepmtpError
    from hepmtp.events import check_events as check_events
    from hepmtp.events import concatenate as concatenate
    from hepmtp.events import make_events as make_events
    from hepmtp.features import event_features as event_features
    from hepmtp.histograms import rebin as rebin
    from hepmtp.inspection import inspect as inspect
    from hepmtp.league import run_league as run_league
    from hepmtp.manifest import Dataset as Dataset
    from hepmtp.manifest import embedded as embedded
    from hepmtp.manifest import fileset as fileset
    from hepmtp.manifest import load_manifest as load_manifest
    from hepmtp.manifest import load_records as load_records
    from hepmtp.manifest import read as read
    from hepmtp.models.classifier import ClassifierOptions as ClassifierOptions
    from hepmtp.models.classifier import ClassifierTraining as ClassifierTraining
    from hepmtp.models.masked import ModelOptions as ModelOptions
    from hepmtp.prediction import PREDICTIONS as PREDICTIONS
    from hepmtp.prediction import prediction_detector as prediction_detector
    from hepmtp.prediction import prediction_report as prediction_report
    from hepmtp.readers import load_reader as load_reader
    from hepmtp.readers import reader_for as reader_for
    from hepmtp.readers.darkmachines_csv import DarkMachinesCSV as DarkMachinesCSV
    from hepmtp.readers.delphes import Delphes as Delphes
    from hepmtp.readers.dm_ntuple import DMNtuple as DMNtuple
    from hepmtp.readers.fourtops_hdf5 import FourTopsHDF5 as FourTopsHDF5
    from hepmtp.readers.jetclass import JetClass as JetClass
    from hepmtp.readers.nanoaod import NanoAOD as NanoAOD
    from hepmtp.readers.parquet import ParquetReader as ParquetReader
    from hepmtp.readers.physlite import Physlite as Physlite
    from hepmtp.readers.root import RootReader as RootReader
    from hepmtp.regions import REGIONS as REGIONS
    from hepmtp.regions import Region as Region
    from hepmtp.run import HepRunner as HepRunner
    from hepmtp.run import make_executor as make_executor
    from hepmtp.split import split_of as split_of
    from hepmtp.tokenizers import load_tokenizer as load_tokenizer
    from hepmtp.tokenizers.autoencoder import AutoencoderOptions as AutoencoderOptions
    from hepmtp.tokenizers.continuous import ContinuousInputs as ContinuousInputs
    from hepmtp.tokenizers.fsq import FSQTokenizer as FSQTokenizer
    from hepmtp.tokenizers.graph_vq import GraphVQTokenizer as GraphVQTokenizer
    from hepmtp.tokenizers.lookup import LookupTokenizer as LookupTokenizer
    from hepmtp.tokenizers.vqvae import VQVAETokenizer as VQVAETokenizer
    from hepmtp.tokens import TokenBatch as TokenBatch
    from hepmtp.training import TrainingOptions as TrainingOptions

    __version__: str

#: Public names and the module that each lives in.
_HOMES: dict[str, str] = {
    "AutoencoderOptions": "tokenizers.autoencoder",
    "ClassifierOptions": "models.classifier",
    "ClassifierTraining": "models.classifier",
    "Combination": "detectors.combination",
    "ContinuousInputs": "tokenizers.continuous",
    "DISTORTIONS": "distortions",
    "DMNtuple": "readers.dm_ntuple",
    "DarkMachinesCSV": "readers.darkmachines_csv",
    "Dataset": "manifest",
    "DeepSVDD": "detectors.deep_svdd",
    "Delphes": "readers.delphes",
    "DistortionDetector": "detectors.distortion",
    "ECOD": "detectors.ecod",
    "FSQTokenizer": "tokenizers.fsq",
    "Flow": "detectors.flow",
    "FourTopsHDF5": "readers.fourtops_hdf5",
    "GraphVQTokenizer": "tokenizers.graph_vq",
    "HepRunner": "run",
    "HepmtpError": "errors",
    "IsolationForest": "detectors.isolation_forest",
    "JetClass": "readers.jetclass",
    "LookupTokenizer": "tokenizers.lookup",
    "MaskedTokenDetector": "detectors.masked_token",
    "ModelOptions": "models.masked",
    "NanoAOD": "readers.nanoaod",
    "NetworkTraining": "detectors.event_network",
    "Observable": "detectors.observables",
    "PREDICTIONS": "prediction",
    "ParquetReader": "readers.parquet",
    "Physlite": "readers.physlite",
    "REGIONS": "regions",
    "Region": "regions",
    "RootReader": "readers.root",
    "SupervisedDetector": "detectors.supervised",
    "TokenBatch": "tokens",
    "TokenRarity": "detectors.token_rarity",
    "TrainingOptions": "training",
    "VAE": "detectors.vae",
    "VQVAETokenizer": "tokenizers.vqvae",
    "check_events": "events",
    "compare": "comparison",
    "concatenate": "events",
    "distort": "distortions",
    "embedded": "manifest",
    "event_features": "features",
    "fetch": "download",
    "fileset": "manifest",
    "inspect": "inspection",
    "load_detector": "detectors",
    "load_manifest": "manifest",
    "load_reader": "readers",
    "load_records": "manifest",
    "load_tokenizer": "tokenizers",
    "make_events": "events",
    "make_executor": "run",
    "prediction_detector": "prediction",
    "prediction_report": "prediction",
    "read": "manifest",
    "reader_for": "readers",
    "rebin": "histograms",
    "run_league": "league",
    "split_of": "split",
    "threshold": "comparison",
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
