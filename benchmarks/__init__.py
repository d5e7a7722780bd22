"""Benchmarks of training steps, memory, compile and start times: `python -m benchmarks [NAME ...] [--json FILE]`."""
