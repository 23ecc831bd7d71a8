"""Seconds and memory of an evaluation or of a whole run, ours and PyTorch's, each in a process of its own."""
