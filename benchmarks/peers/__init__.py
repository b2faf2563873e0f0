"""What is measured: each module is a process of its own, started by `benchmarks.processes`."""
