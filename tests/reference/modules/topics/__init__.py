"""The cases of modules by topic. After a change: ``python -m tests.reference.modules.record TOPIC``."""

from tests.reference.modules.cases import ModuleCase
from tests.reference.modules.topics import linear, recurrent

TOPICS: dict[str, list[ModuleCase]] = {
    "linear": linear.CASES,
    "recurrent": recurrent.CASES,
}
