"""A campaign of faults against training and the command line: `python -m tests.faults --minutes 30`.

Four kinds of fault are tried in turn, each drawn from the seed and its number: a trainer is killed, a file of a run is
damaged, a file system is full, a command line is wrong. Afterwards the run is read, and its state is compared with that
of a run that was never disturbed. The campaign counts what is

* lost: a checkpoint that was complete before the fault cannot be restored, or the run cannot go on to the same log;
* silent: a state or a log that is wrong, or older than it was, without a warning or an error;
* a traceback: an error that is not a sentence.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # Trainers are forked from a process without threads.
