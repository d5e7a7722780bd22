"""The registered experiments, one file per paper; `experiments.figures` holds the papers' figures.

Importing this package imports every file in both folders, which registers what is in them.
"""

import importlib
import pkgutil

for _module in pkgutil.walk_packages(__path__, f"{__name__}."):
    importlib.import_module(_module.name)
