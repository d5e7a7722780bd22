"""The command line: `jaxgan VERB ...`, or `python launch.py VERB ...` in a checkout.

Each verb is a frozen dataclass of its options with a method `run`.
"""
