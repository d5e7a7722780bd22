"""Prepare a TFDS data set: the one thing that needs TensorFlow, and only once."""

from pathlib import Path

from jaxgan.data.datasets import data_dir, prepared
from jaxgan.errors import Failed, Problem


def prepare(name: str, directory: Path | None = None) -> Path:
    """Download `name` and write it as array_record, unless it is there; returns its folder.

    TFDS shows its progress, verifies checksums, and builds beside the final folder: an interrupted preparation leaves
    nothing that could be taken for a data set, and downloads that were finished are not fetched again.
    Raises Problem for an unknown name or where TensorFlow is missing, Failed where the download fails.
    """
    directory = directory or data_dir()
    try:
        return prepared(name, directory)
    except Problem:
        import tensorflow_datasets as tfds
    try:
        builder = tfds.builder(name, data_dir=directory, file_format="array_record")
    except tfds.core.DatasetNotFoundError as error:
        raise Problem(f"TFDS has no data set {name!r}; its catalogue is at www.tensorflow.org/datasets") from error
    except (ImportError, ValueError) as error:
        raise _without_tensorflow(name, error) from error
    try:
        builder.download_and_prepare(file_format="array_record")
    except ImportError as error:
        raise _without_tensorflow(name, error) from error
    except (OSError, tfds.download.DownloadError) as error:
        raise Failed(f"{name} could not be prepared in {directory}: {error}; the same command tries again") from error
    return prepared(name, directory)


def _without_tensorflow(name: str, error: Exception) -> Problem:
    if isinstance(error, ImportError):
        return Problem(f"preparing {name} needs TensorFlow, once: pip install '.[prepare]', then the same command")
    return Problem(f"{name} cannot be prepared: {str(error).splitlines()[0]}")
