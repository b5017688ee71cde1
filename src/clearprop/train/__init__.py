"""Training: the loop, and what it leaves behind: a record of the run, a live display, a report to read."""

from clearprop.train.averaging import AverageWeights
from clearprop.train.callbacks import Callback
from clearprop.train.checking import Check, Finding, check
from clearprop.train.checkpoint import Checkpoint
from clearprop.train.comparing import compare
from clearprop.train.early_stopping import EarlyStopping
from clearprop.train.evaluation import evaluate
from clearprop.train.health import Health
from clearprop.train.history import History
from clearprop.train.interruption import TrainingInterrupted
from clearprop.train.loop import fit
from clearprop.train.metrics import Metric
from clearprop.train.progress import Progress
from clearprop.train.records import Evaluation, Example
from clearprop.train.report import write_report
from clearprop.train.run import Run
from clearprop.train.summary import print_summary

__all__ = [
    "AverageWeights",
    "Callback",
    "Check",
    "Checkpoint",
    "EarlyStopping",
    "Evaluation",
    "Example",
    "Finding",
    "Health",
    "History",
    "Metric",
    "Progress",
    "Run",
    "TrainingInterrupted",
    "check",
    "compare",
    "evaluate",
    "fit",
    "print_summary",
    "write_report",
]
