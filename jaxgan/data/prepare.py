"""Downloads TFDS data sets and converts them to array_record. This needs TensorFlow; reading them later does not."""

from pathlib import Path

from jaxgan.data.datasets import data_dir, prepared_folder
from jaxgan.errors import SystemFailure, UserError, first_line


def prepare_tfds(name: str, directory: Path | None = None) -> Path:
    """Prepares a TFDS data set as array_record, unless it is prepared already, and returns its folder.

    TFDS shows progress, verifies checksums and builds in a temporary folder. An interrupted preparation leaves no
    incomplete data set, and finished downloads are not repeated.

    Args:
        name: TFDS name, `name` or `name/config`.
        directory: Folder of all TFDS data sets; `data_dir()` if not given.

    Raises UserError if the name is unknown or TensorFlow is missing, and SystemFailure if the download fails.
    """
    directory = directory or data_dir()
    try:
        return prepared_folder(name, directory)
    except UserError:
        import tensorflow_datasets as tfds
    try:
        builder = tfds.builder(name, data_dir=directory, file_format="array_record")
    except tfds.core.DatasetNotFoundError as error:
        raise UserError(
            f"there is no folder {name!r}, and TFDS has no data set of that name; "
            "choose one from the catalogue at www.tensorflow.org/datasets"
        ) from error
    except (ImportError, ValueError) as error:
        raise _preparation_error(name, error) from error
    try:
        builder.download_and_prepare(file_format="array_record")
    except ImportError as error:
        raise _preparation_error(name, error) from error
    except (OSError, tfds.download.DownloadError) as error:
        raise SystemFailure(
            f"{name} could not be prepared in {directory}: {error}; the same command tries again"
        ) from error
    return prepared_folder(name, directory)


def _preparation_error(name: str, error: Exception) -> UserError:
    if isinstance(error, ImportError):
        return UserError(
            f"preparing {name} needs TensorFlow; run pip install '.[prepare]', then the same command again"
        )
    return UserError(f"{name} cannot be prepared: {first_line(error)}")
