"""Memory between operations: it stays with the process, up to a limit."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from clearprop import heap

COUNT = """
import resource
import clearprop as cp

def step():
    y = cp.exp(x)
    return (y * x + y) * 0.5

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

x = cp.ones((900_000,))
for _ in range(5):
    step()
before = faults()
for _ in range(20):
    step()
print(faults() - before)
"""


@pytest.mark.skipif(heap._library() is None, reason="the C library is not GNU's")
def test_values_of_one_step_take_the_memory_of_the_step_before() -> None:
    """Each of 80 arrays of 3.6 MB was made of new pages, 880 of them, which the system fills with zeros."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", COUNT], env=environment, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 1000
