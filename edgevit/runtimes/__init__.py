"""Runtimes: the programs that run a model file, behind one small protocol."""
