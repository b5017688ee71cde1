"""Training: the loop, and what it leaves behind: a record of the run, a live display, a report to read."""

from clearprop.train.averaging import AverageWeights
from clearprop.train.callbacks import Callback
from clearprop.train.checking import Check, Finding, check
from clearprop.train.checkpoint import Checkpoint
from clearprop.train.choosing.cross_validation import CrossValidation, cross_validate
from clearprop.train.choosing.ensemble import Ensemble
from clearprop.train.choosing.folds import k_fold_split
from clearprop.train.choosing.plan import Plan
from clearprop.train.choosing.repeating import Trials, trials
from clearprop.train.choosing.searching import Search, search
from clearprop.train.choosing.several import Trained
from clearprop.train.early_stopping import EarlyStopping
from clearprop.train.evaluation import evaluate
from clearprop.train.health import Health
from clearprop.train.history import History
from clearprop.train.interruption import TrainingInterrupted
from clearprop.train.landscape import Landscape, loss_landscape
from clearprop.train.loop import fit
from clearprop.train.lr_range import LRRangeTest, lr_range_test
from clearprop.train.metrics import Metric
from clearprop.train.overfitting import Overfit, overfit
from clearprop.train.progress import Progress
from clearprop.train.records import Evaluation, Example
from clearprop.train.reports.comparing import compare
from clearprop.train.reports.report import write_report
from clearprop.train.run import Run
from clearprop.train.summary import print_summary

__all__ = [
    "AverageWeights",
    "Callback",
    "Check",
    "Checkpoint",
    "CrossValidation",
    "EarlyStopping",
    "Ensemble",
    "Evaluation",
    "Example",
    "Finding",
    "Health",
    "History",
    "Landscape",
    "LRRangeTest",
    "Metric",
    "Overfit",
    "Plan",
    "Progress",
    "Run",
    "Search",
    "Trained",
    "TrainingInterrupted",
    "Trials",
    "check",
    "compare",
    "cross_validate",
    "evaluate",
    "fit",
    "k_fold_split",
    "lr_range_test",
    "overfit",
    "loss_landscape",
    "print_summary",
    "search",
    "trials",
    "write_report",
]
