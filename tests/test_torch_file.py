"""State dicts in both formats of torch are read, and anything else is refused without executing it."""

import os
import pickle

import numpy as np
import pytest
import torch_bytes

from jaxgan.errors import UserError
from jaxgan.io.torch_file import read_tensors

FORMATS = pytest.mark.parametrize("written", [torch_bytes.zipped, torch_bytes.legacy])
TENSORS = {
    "conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2),
    "transposed": np.arange(6.0).reshape(2, 3).T,
    "count": np.array(2**40),
    "half": np.array([0.5, -1], np.float16),
    "bytes": np.array([1, 255], np.uint8),
    "mask": np.array([True, False]),
}


class Evil:
    def __reduce__(self):
        return os.system, ("touch /tmp/jaxgan-was-here",)


@FORMATS
def test_tensors_are_read_with_shape_dtype_and_values(tmp_path, written):
    (tmp_path / "file").write_bytes(written(TENSORS))
    tensors = read_tensors(tmp_path / "file")
    assert list(tensors) == list(TENSORS)
    for name, expected in TENSORS.items():
        np.testing.assert_array_equal(tensors[name], expected, strict=True)
        assert tensors[name].flags.c_contiguous
        assert tensors[name].flags.owndata


@FORMATS
@pytest.mark.parametrize("evil", [Evil(), {"weight": Evil()}, eval, np.ndarray, pickle.loads])
def test_a_pickle_with_a_forbidden_reference_is_refused_and_the_error_names_it(tmp_path, written, evil):
    (tmp_path / "file").write_bytes(written({}, pickle.dumps(evil, 2)))
    with pytest.raises(
        UserError, match=r"refers to (posix.system|__builtin__.eval|numpy.ndarray|pickle.loads), .* not executed"
    ):
        read_tensors(tmp_path / "file")
    assert not os.path.exists("/tmp/jaxgan-was-here")


def test_the_legacy_format_refuses_forbidden_references_in_each_of_its_pickles(tmp_path):
    whole, evil = torch_bytes.legacy({}), pickle.dumps(Evil(), 2)
    ends = [i + 1 for i in range(len(whole)) if whole[i : i + 3] == b".\x80\x02"]
    for end in (0, *ends):
        (tmp_path / "file").write_bytes(whole[:end] + evil)
        with pytest.raises(UserError, match=r"posix.system"):
            read_tensors(tmp_path / "file")


@FORMATS
def test_tensors_must_lie_within_their_storage_and_have_a_known_dtype(tmp_path, written):
    tensors = {"a": np.arange(6, dtype=np.float32).reshape(2, 3)}
    right = torch_bytes.state_dict(tensors, legacy=written is torch_bytes.legacy)
    size, strides = torch_bytes._ints([2, 3]), torch_bytes._ints([3, 1])
    for wrong in (
        right.replace(size, torch_bytes._ints([2, 4])),
        right.replace(size, torch_bytes._ints([-2, -3])),
        right.replace(strides, torch_bytes._ints([4, 1])),
        right.replace(strides, torch_bytes._ints([-3, 1])),
        right.replace(strides, torch_bytes._ints([1])),
        right.replace(torch_bytes._int(0) + size, torch_bytes._int(1) + size),
        right.replace(torch_bytes._int(0) + size, torch_bytes._int(-1) + size),
        right.replace(b"ctorch\nFloatStorage\n", torch_bytes._text("O")),
    ):
        assert wrong != right
        (tmp_path / "file").write_bytes(written(tensors, wrong))
        with pytest.raises(UserError, match="is not a state dict saved by torch"):
            read_tensors(tmp_path / "file")


@FORMATS
def test_truncated_and_other_files_are_refused(tmp_path, written):
    whole = written(TENSORS)
    for content in (
        b"",
        b"PK\3\4",
        b"<html>",
        whole[: len(whole) // 2],
        whole[:-1] if written is torch_bytes.legacy else whole[:-30],
    ):
        (tmp_path / "file").write_bytes(content)
        with pytest.raises(UserError, match="is not a state dict saved by torch"):
            read_tensors(tmp_path / "file")
    for other in ([1, 2], {"epoch": 3}):
        (tmp_path / "file").write_bytes(written({}, pickle.dumps(other, 2)))
        with pytest.raises(UserError, match=r"it holds an object of type (list|int)"):
            read_tensors(tmp_path / "file")
    with pytest.raises(UserError, match="does not exist"):
        read_tensors(tmp_path / "none")


@pytest.mark.parametrize("zipped", [True, False])
def test_files_written_by_torch_are_read(tmp_path, zipped):
    torch = pytest.importorskip("torch")
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3), torch.nn.BatchNorm2d(5))
    state = net.state_dict()
    state["view"] = torch.arange(12.0).reshape(3, 4)[1:, ::2].t()
    state["parameter"] = torch.nn.Parameter(torch.ones(2))
    torch.save(state, tmp_path / "file", _use_new_zipfile_serialization=zipped)
    tensors = read_tensors(tmp_path / "file")
    assert set(tensors) == set(state)
    for name, expected in state.items():
        np.testing.assert_array_equal(tensors[name], expected.detach().numpy(), strict=True)
