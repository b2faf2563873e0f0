"""Workloads against the limit of the stack and against other implementations; `python -m benchmarks`."""
