"""Records of prepared TFDS data sets, for the features that TFDS itself reads only with TensorFlow: audio and video."""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxgan.data.datasets import prepared_folder
from jaxgan.errors import UserError, first_line

Feature = Any  # a `tf.train.Feature`, with one of bytes_list, int64_list and float_list


@dataclasses.dataclass(frozen=True)
class Records:
    """A split of a prepared data set.

    Attributes:
        name: Data set, version and split, such as "moving_mnist:1.0.0:test".
        folder: The folder of the prepared data set.
        features: Description of each feature, as in features.json.
        length: Number of records.
        read: indices [n] -> features of each record by name.
    """

    name: str
    folder: Path
    features: Mapping[str, Any]
    length: int
    read: Callable[[np.ndarray], list[Mapping[str, Feature]]]

    def feature_of_kind(self, kind: str) -> str:
        """Returns the name of the first feature of a class of TFDS, such as "Video". Raises UserError if none is."""
        names = [n for n, about in self.features.items() if about.get("pythonClassName", "").split(".")[-1] == kind]
        if not names:
            raise UserError(f"{self.name} has no feature of kind {kind}, only {', '.join(sorted(self.features))}")
        return names[0]

    def label_numbers(self, feature: str, labels: Sequence[str]) -> list[int]:
        """Returns the numbers of labels of a feature of kind ClassLabel. Raises UserError if there is no such label."""
        names = (self.folder / f"{feature}.labels.txt").read_text().split("\n")
        for label in labels:
            if label not in names:
                known = ", ".join(filter(None, names))
                raise UserError(
                    f"{self.name} has no label {label!r}, only {known}; if the archive has it, extract the archive and "
                    "give its folder"
                )
        return [names.index(label) for label in labels]


def open_records(name: str, split: str = "train", directory: Path | None = None) -> Records:
    """Returns the records of a whole split of a prepared TFDS data set, which are read from disk by index.

    Args:
        name: TFDS name, such as `moving_mnist`.
        split: Name of a split, without a range.
        directory: Folder of all TFDS data sets; `datasets.data_dir()` if not given.

    Raises UserError if the data set or the split is missing, or is not in the format array_record.
    """
    from array_record.python.array_record_data_source import ArrayRecordDataSource
    from tensorflow_datasets.proto import tf_example_pb2

    folder = prepared_folder(name, directory)
    splits = {path.name.split(".")[0].partition("-")[2]: path for path in sorted(folder.glob("*.array_record-*"))}
    if not splits:
        raise UserError(f"{folder} is not in the format array_record; prepare it with file_format='array_record'")
    if split not in splits:
        raise UserError(f"{name} has no split {split!r}; choose one of {', '.join(splits)}")
    source = ArrayRecordDataSource([str(path) for path in sorted(folder.glob(f"*-{split}.array_record-*"))])
    full_name = f"{name}:{folder.name}:{split}"
    features = json.loads((folder / "features.json").read_text())["featuresDict"]["features"]

    def read(indices: np.ndarray) -> list[Mapping[str, Feature]]:
        try:
            records = source.__getitems__(indices.tolist())
            return [tf_example_pb2.Example.FromString(record).features.feature for record in records]
        except Exception as error:
            raise UserError(
                f"a record of {full_name} is damaged: {first_line(error)}; delete {folder} and prepare it again"
            ) from error

    return Records(full_name, folder, features, len(source), read)
