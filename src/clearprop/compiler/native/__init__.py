"""The native executor: programs as machine code, by LLVM.

machine     the processor: its name, its features, how many numbers a vector register holds
code        writing LLVM's intermediate code: loops, loads and stores of vectors, constants
library     from intermediate code to functions that can be called
"""
