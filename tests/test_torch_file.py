import os
import pickle

import numpy as np
import pytest
import torch_bytes

from jaxgan.errors import Problem
from jaxgan.evaluate.torch_file import read_tensors

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
def test_tensors_are_read_with_shape_type_and_value(tmp_path, written):
    (tmp_path / "file").write_bytes(written(TENSORS))
    found = read_tensors(tmp_path / "file")
    assert list(found) == list(TENSORS)
    for name, want in TENSORS.items():
        np.testing.assert_array_equal(found[name], want, strict=True)
        assert found[name].flags.c_contiguous
        assert found[name].flags.owndata


@FORMATS
@pytest.mark.parametrize("evil", [Evil(), {"weight": Evil()}, eval, np.ndarray, pickle.loads])
def test_a_pickle_that_asks_for_anything_else_is_refused_by_name(tmp_path, written, evil):
    (tmp_path / "file").write_bytes(written({}, pickle.dumps(evil, 2)))
    with pytest.raises(
        Problem, match=r"asks for (posix.system|__builtin__.eval|numpy.ndarray|pickle.loads), .* not run"
    ):
        read_tensors(tmp_path / "file")
    assert not os.path.exists("/tmp/jaxgan-was-here")


def test_the_legacy_format_refuses_in_each_of_its_pickles(tmp_path):
    whole, evil = torch_bytes.legacy({}), pickle.dumps(Evil(), 2)
    ends = [i + 1 for i in range(len(whole)) if whole[i : i + 3] == b".\x80\x02"]
    for end in (0, *ends):
        (tmp_path / "file").write_bytes(whole[:end] + evil)
        with pytest.raises(Problem, match=r"posix.system"):
            read_tensors(tmp_path / "file")


@FORMATS
def test_tensors_cannot_reach_beyond_their_storage_or_be_of_another_kind(tmp_path, written):
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
        with pytest.raises(Problem, match="is not a state dict of torch"):
            read_tensors(tmp_path / "file")


@FORMATS
def test_what_is_cut_off_or_something_else_is_a_problem(tmp_path, written):
    whole = written(TENSORS)
    for other in (
        b"",
        b"PK\3\4",
        b"<html>",
        whole[: len(whole) // 2],
        whole[:-1] if written is torch_bytes.legacy else whole[:-30],
    ):
        (tmp_path / "file").write_bytes(other)
        with pytest.raises(Problem, match="is not a state dict of torch"):
            read_tensors(tmp_path / "file")
    for held in ([1, 2], {"epoch": 3}):
        (tmp_path / "file").write_bytes(written({}, pickle.dumps(held, 2)))
        with pytest.raises(Problem, match=r"it holds an? (list|int)"):
            read_tensors(tmp_path / "file")
    with pytest.raises(Problem, match="is not there"):
        read_tensors(tmp_path / "none")


@pytest.mark.parametrize("zipped", [True, False])
def test_torch_is_read_as_it_writes(tmp_path, zipped):
    torch = pytest.importorskip("torch")
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3), torch.nn.BatchNorm2d(5))
    state = net.state_dict()
    state["view"] = torch.arange(12.0).reshape(3, 4)[1:, ::2].t()
    state["parameter"] = torch.nn.Parameter(torch.ones(2))
    torch.save(state, tmp_path / "file", _use_new_zipfile_serialization=zipped)
    found = read_tensors(tmp_path / "file")
    assert set(found) == set(state)
    for name, want in state.items():
        np.testing.assert_array_equal(found[name], want.detach().numpy(), strict=True)
