"""Threads that run a compiled step together.

They are ordinary threads of Python that stay in native code, where Python's lock does not bind them. A worker waits for
the next job by looking at a number again and again; if none comes for some 400 µs, longer than it takes to prepare a
small batch, it goes back to Python and sleeps until it is woken, so that an idle process takes no time.

A job is a function ``i64 f(table, i64 thread, i64 threads)``, which all threads call. Its threads meet at a barrier,
for which every job has a place of its own, `Meeting`; a function that runs alone needs none.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import sys
import threading
from functools import cache
from time import perf_counter
from typing import Any

import llvmlite.binding as llvm
import numpy as np

from clearprop.compiler.native.machine import host
from clearprop.compiler.native.team import BARRIER

_LINE = 8
"""Words that one thread writes and others read lie so far apart: a cache line."""
_SECONDS_AWAKE = 400e-6
_SECONDS_TO_END = 1.0

# A barrier and a worker's loop. Meeting place: word 0 counts the meetings, word 8 those who have come, word 16 is the
# address of the system's function that lets other processes run, word 24 is what `Team.each` takes next. Job: word 0
# counts the jobs; words 1 to 3 are its function, table and number of threads, word 4 is that address once more, word 8
# counts the workers that are done with it, word 8 + 8 i is 1 while worker i sleeps. Every worker takes part in every
# job, and the first thread waits until all of them have left the function: so none reads the words of a job while those
# of the next one are written, and the code of a job may be freed when it is done.
_CODE = """
define void @clearprop_barrier(ptr noalias %meeting, i64 %threads) {
entry:
  %several = icmp ugt i64 %threads, 1
  br i1 %several, label %meet, label %done
meet:
  %before = load atomic i64, ptr %meeting acquire, align 8
  %come = getelementptr i64, ptr %meeting, i64 8
  %others = atomicrmw add ptr %come, i64 1 acq_rel
  %all = add i64 %others, 1
  %is_last = icmp eq i64 %all, %threads
  br i1 %is_last, label %last, label %wait
last:                                               ; for whom the others wait
  store atomic i64 0, ptr %come monotonic, align 8
  %next = getelementptr i64, ptr %meeting, i64 24
  store atomic i64 0, ptr %next monotonic, align 8
  %after = add i64 %before, 1
  store atomic i64 %after, ptr %meeting release, align 8
  ret void
wait:
  %looks = phi i64 [0, %meet], [%more, %look]
  call void PAUSE
  %is_patient = icmp ult i64 %looks, 2000
  br i1 %is_patient, label %look, label %yield
yield:                                              ; somebody may need this processor to come at all
  %place = getelementptr i64, ptr %meeting, i64 16
  %give_way = load ptr, ptr %place, align 8
  call i32 %give_way()
  br label %look
look:
  %more = add i64 %looks, 1
  %now = load atomic i64, ptr %meeting acquire, align 8
  %changed = icmp ne i64 %now, %before
  br i1 %changed, label %done, label %wait
done:
  ret void
}

; The first thread announces a job: returns -1 if a worker sleeps, and does nothing more. Otherwise it does its part.
define i64 @start(ptr %job, ptr %function, ptr %table, i64 %threads) {
entry:
  %function_at = getelementptr i64, ptr %job, i64 1
  %table_at = getelementptr i64, ptr %job, i64 2
  %threads_at = getelementptr i64, ptr %job, i64 3
  store ptr %function, ptr %function_at, align 8
  store ptr %table, ptr %table_at, align 8
  store i64 %threads, ptr %threads_at, align 8
  %finished = getelementptr i64, ptr %job, i64 8
  store atomic i64 0, ptr %finished monotonic, align 8
  %job_number = atomicrmw add ptr %job, i64 1 seq_cst
  br label %check
check:
  %worker = phi i64 [1, %entry], [%next, %awake]
  %is_worker = icmp ult i64 %worker, %threads
  br i1 %is_worker, label %asleep, label %work
asleep:
  %word = shl i64 %worker, 3
  %state_word = add i64 %word, 8
  %state_at = getelementptr i64, ptr %job, i64 %state_word
  %state = load atomic i64, ptr %state_at seq_cst, align 8
  %sleeps = icmp ne i64 %state, 0
  br i1 %sleeps, label %give_up, label %awake
awake:
  %next = add i64 %worker, 1
  br label %check
give_up:
  ret i64 -1
work:
  %result = call i64 @take_part(ptr %job, ptr %function, ptr %table, i64 %threads)
  ret i64 %result
}

; What the first thread does of a job that is announced, when nobody sleeps.
define i64 @take_part(ptr %job, ptr %function, ptr %table, i64 %threads) {
entry:
  %result = call i64 %function(ptr %table, i64 0, i64 %threads)
  %finished = getelementptr i64, ptr %job, i64 8
  %workers = sub i64 %threads, 1
  br label %wait
wait:
  %looks = phi i64 [0, %entry], [%more, %again]
  %count = load atomic i64, ptr %finished acquire, align 8
  %all = icmp eq i64 %count, %workers
  br i1 %all, label %done, label %still
still:
  call void PAUSE
  %is_patient = icmp ult i64 %looks, 2000
  br i1 %is_patient, label %again, label %yield
yield:
  %place = getelementptr i64, ptr %job, i64 4
  %give_way = load ptr, ptr %place, align 8
  call i32 %give_way()
  br label %again
again:
  %more = add i64 %looks, 1
  br label %wait
done:
  ret i64 %result
}

; A worker: does all jobs that come, and returns the number of the last one when none has come for a while.
define i64 @serve(ptr %job, i64 %thread, i64 %done, i64 %patience) {
entry:
  %word = shl i64 %thread, 3
  %state_word = add i64 %word, 8
  %state_at = getelementptr i64, ptr %job, i64 %state_word
  store atomic i64 0, ptr %state_at seq_cst, align 8
  br label %wait
wait:
  %seen = phi i64 [%done, %entry], [%taken, %run]
  br label %look
look:
  %looks = phi i64 [0, %wait], [%more, %again]
  %number = load atomic i64, ptr %job seq_cst, align 8
  %is_new = icmp ne i64 %number, %seen
  br i1 %is_new, label %run, label %again
again:
  call void PAUSE
  %more = add i64 %looks, 1
  %is_patient = icmp ult i64 %more, %patience
  br i1 %is_patient, label %look, label %tire
tire:                                               ; who announces a job after this sees that somebody sleeps
  store atomic i64 1, ptr %state_at seq_cst, align 8
  %latest = load atomic i64, ptr %job seq_cst, align 8
  %missed = icmp ne i64 %latest, %seen
  br i1 %missed, label %wake, label %sleep
wake:
  store atomic i64 0, ptr %state_at seq_cst, align 8
  br label %run
run:
  %taken = phi i64 [%number, %look], [%latest, %wake]
  %function_at = getelementptr i64, ptr %job, i64 1
  %function = load ptr, ptr %function_at, align 8
  %table_at = getelementptr i64, ptr %job, i64 2
  %table = load ptr, ptr %table_at, align 8
  %threads_at = getelementptr i64, ptr %job, i64 3
  %threads = load i64, ptr %threads_at, align 8
  call i64 %function(ptr %table, i64 %thread, i64 %threads)
  %finished = getelementptr i64, ptr %job, i64 8
  atomicrmw add ptr %finished, i64 1 release
  br label %wait
sleep:
  ret i64 %seen
}
"""

_PAUSES = {
    "x86": "@llvm.x86.sse2.pause()",
    "aarch64": "@llvm.aarch64.hint(i32 1)",
    "arm64": "@llvm.aarch64.hint(i32 1)",
}


def _assembly() -> str:
    triple = llvm.get_default_triple()
    pause = next((call for name, call in _PAUSES.items() if triple.startswith(name)), "@nothing()")
    declared = "define void @nothing() {\n  ret void\n}" if "nothing" in pause else f"declare void {pause}"
    return f"{_CODE.replace('PAUSE', pause)}\n{declared.replace('i32 1', 'i32')}\n"


@cache
def _library() -> Any:
    """The functions, compiled once; the barrier becomes known to all code that is compiled from now on."""
    machine = host()
    target = llvm.Target.from_default_triple().create_target_machine(cpu=machine.cpu, opt=1, jit=True)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(_assembly()), target)
    engine.finalize_object()
    llvm.add_symbol(BARRIER, engine.get_function_address(BARRIER))
    return engine


def provide_barrier() -> None:
    """Make the barrier known to code that is about to be compiled."""
    _library()


def _words(count: int) -> Any:
    """Zeros at the beginning of a cache line."""
    memory = np.zeros(count + _LINE, np.int64)
    start = -memory.ctypes.data % (8 * _LINE) // 8
    return memory[start : start + count]


_MEETINGS: dict[int, Any] = {}


def meeting_address(threads: int) -> int:
    """Where so many threads meet that run a job together; there is one such job at a time."""
    if threads not in _MEETINGS:
        _MEETINGS[threads] = _words(4 * _LINE)
        _MEETINGS[threads][2 * _LINE] = give_way_address()
    address: int = _MEETINGS[threads].ctypes.data
    return address


def give_way_address() -> int:
    """The system's function that lets other processes run."""
    if sys.platform == "win32":
        found = ctypes.WinDLL("kernel32").SwitchToThread
    else:
        found = ctypes.CDLL(None).sched_yield
    return ctypes.cast(found, ctypes.c_void_p).value or 0


class Workers:
    """All threads but the one that calls.

    Args:
        threads: how many there are, with the one that calls.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        engine, word, address = _library(), ctypes.c_int64, ctypes.c_void_p
        announce = ctypes.CFUNCTYPE(word, address, address, address, word)
        self._start, self._take_part = (announce(engine.get_function_address(name)) for name in ("start", "take_part"))
        self._serve = ctypes.CFUNCTYPE(word, address, word, word, word)(engine.get_function_address("serve"))
        self._job = _words(_LINE * (2 + threads))
        self._address = self._job.ctypes.data
        self._job[4] = give_way_address()
        self._free = threading.Lock()
        self._patience = self._find_patience()
        self._alarms = [threading.Semaphore(0) for _ in range(threads)]
        self._is_closing = False
        self._workers = [threading.Thread(target=self._work, args=(i,), daemon=True) for i in range(1, threads)]
        try:
            for worker in self._workers:
                worker.start()
        except RuntimeError:  # the system gives no more threads: everything is run by the one that there is
            self._free.acquire()

    def _find_patience(self) -> int:
        """How often a worker looks for a job before it goes to sleep."""
        looks, started = 10_000, perf_counter()
        self._serve(self._address, self.threads, 0, looks)
        return max(100, int(looks * _SECONDS_AWAKE / (perf_counter() - started)))

    def _work(self, thread: int) -> None:
        done = 0
        while not self._is_closing:
            done = self._serve(self._address, thread, done, self._patience)
            self._alarms[thread].acquire()

    def run(self, function: Any, address: int, table: int) -> int:
        """What the function returns, called by all threads together, or by this one alone if they are busy.

        Args:
            function: to be called from Python.
            address: of the same.
            table: the address that it takes.
        """
        if not self._free.acquire(blocking=False):
            alone: int = function(table, 0, 1)
            return alone
        try:
            result: int = self._start(self._address, address, table, self.threads)
            if result == -1:
                try:
                    for thread in range(1, self.threads):
                        if self._job[_LINE * (1 + thread)]:
                            self._alarms[thread].release()
                finally:  # after Ctrl-C too: the others wait for this one
                    result = self._take_part(self._address, address, table, self.threads)
            return result
        finally:
            self._free.release()

    def close(self) -> None:
        """Let the threads end."""
        self._is_closing = True
        for alarm in self._alarms:
            alarm.release()
        for worker in self._workers:
            if worker.ident is not None:
                worker.join(_SECONDS_TO_END)


@cache
def workers(threads: int) -> Workers:
    """So many threads of this process, the one that calls included; started when they are needed first."""
    made = Workers(threads)
    atexit.register(made.close)
    return made


def _forget() -> None:
    """After a fork there are no threads but one."""
    workers.cache_clear()
    for words in _MEETINGS.values():
        words[: 2 * _LINE] = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
