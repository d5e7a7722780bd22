"""Kinds of output: the type of their samples, the files that hold them, and what shows these files."""

import dataclasses
import struct
import wave
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import short_run
from PIL import Image
from tensorboardX.proto.event_pb2 import Event

from jaxgan.cli import measure
from jaxgan.errors import UserError
from jaxgan.render import html, outputs, pictures
from jaxgan.reports import run_report
from jaxgan.runs.run import train_entry
from jaxgan.training.devices import Devices
from jaxgan.training.experiment import Evaluation
from jaxgan.training.metric_log import MetricLog

RATE = 800  # audio values per second
RANDOM = np.random.default_rng(0)
# Each kind with arrays as `Experiment.sample` returns them.
KINDS = [
    (outputs.Images(), RANDOM.uniform(-1, 1, [3, 4, 5, 3]).astype(np.float32)),
    (outputs.Points(lambda x: pictures.scatter(x, x)), RANDOM.normal(size=[3, 2]).astype(np.float32)),
    (outputs.Videos(), RANDOM.uniform(-1, 1, [3, 6, 4, 5, 3]).astype(np.float32)),
    (outputs.Audio(RATE), RANDOM.uniform(-1, 1, [3, 400]).astype(np.float32)),
    (outputs.Text("ab\n<"), RANDOM.integers(4, size=[3, 7], dtype=np.int32)),
    (outputs.Tokens(), RANDOM.integers(50, size=[3, 7], dtype=np.int32)),
]
each_kind = pytest.mark.parametrize(("output", "samples"), KINDS, ids=[output.name for output, _ in KINDS])


def read_events(folder):
    """Returns the summaries in TensorBoard's files, by tag. A record has a length, a checksum, data, a checksum."""
    summaries = {}
    for path in folder.glob("events*"):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            event = Event.FromString(data[12 : 12 + length])
            summaries |= {value.tag: value for value in event.summary.value}
            data = data[16 + length :]
    return summaries


def test_samples_have_the_natural_type_of_their_kind():
    images, points, videos, audio, text, tokens = (output.postprocess(samples) for output, samples in KINDS)
    assert (images.dtype, images.shape) == (np.uint8, (3, 4, 5, 3))
    assert (videos.dtype, videos.shape) == (np.uint8, (3, 6, 4, 5, 3))
    assert [x.dtype for x in (points, audio, tokens)] == [np.float32, np.float32, np.int32]
    np.testing.assert_array_equal(outputs.to_uint8(np.float32([-1, 0.5 / 127.5 - 1, 0, 1, 9])), [0, 0, 128, 255, 255])
    assert outputs.Text(("the", "cat"), " ").postprocess(np.array([[0, 1], [1, 1]])) == ["the cat", "cat cat"]
    assert all(len(line) == 7 for line in text)


@each_kind
def test_arrays_are_read_without_pickle_and_equal_the_samples(tmp_path, output, samples):
    samples = output.postprocess(samples)
    output.write(samples, tmp_path / "new" / "samples.npz")
    with np.load(tmp_path / "new" / "samples.npz") as file:
        np.testing.assert_array_equal(file["samples"], samples)


@each_kind
def test_other_formats_are_refused_with_those_that_can_be_written(tmp_path, output, samples):
    with pytest.raises(UserError, match=rf"x.mp4 must end in .* or \.npz to hold {output.name}"):
        output.write(output.postprocess(samples), tmp_path / "x.mp4")
    assert not list(tmp_path.iterdir())


@each_kind
def test_every_file_of_a_preview_is_shown_on_a_page_and_in_tensorboard(tmp_path, output, samples):
    paths = output.write_preview(output.postprocess(samples), tmp_path, "00000005-seed2")
    assert {path.suffix for path in paths} <= output.writers().keys()
    log = MetricLog(tmp_path, step=0)
    for path in paths:
        log.add_preview(path, 5)
    log.close()
    events = read_events(tmp_path)
    for path in paths:
        tag = html.media_tag(path, "<samples>")
        assert "<samples>" not in tag
        event = events[f"samples-seed2{path.suffix}" + ("/text_summary" if path.suffix == ".txt" else "")]
        if path.suffix == ".txt":
            assert tag.startswith("<pre>")
            assert event.tensor.string_val[0].decode().startswith(f"    {path.read_text()[:7]}")
        elif path.suffix == ".wav":
            assert tag.startswith('<audio controls src="data:audio/wav;base64,')
            assert event.audio.encoded_audio_string == path.read_bytes()
            assert (event.audio.sample_rate, event.audio.length_frames) == (RATE, 3 * (400 + RATE // 4))
        else:
            assert tag.startswith(f'<img src="data:image/{path.suffix[1:]};base64,')
            assert event.image.encoded_image_string == path.read_bytes()
            with Image.open(path) as picture:
                assert (event.image.width, event.image.height) == picture.size


def test_text_has_one_escaped_line_for_each_sample(tmp_path):
    outputs.Text("").write(["a\nb", "<b>é"], tmp_path / "x.txt")
    assert (tmp_path / "x.txt").read_text(encoding="utf-8") == "a\\nb\n<b>é\n"
    assert html.media_tag(tmp_path / "x.txt", "") == "<pre>a\\nb\n&lt;b&gt;é\n</pre>"
    outputs.Tokens().write(np.array([[3, 1], [4, 15]]), tmp_path / "x.txt")
    assert (tmp_path / "x.txt").read_text() == "3 1\n4 15\n"


def test_a_wav_file_has_all_samples_with_gaps(tmp_path):
    samples = np.float32([[0, 0.5, -1, 1], [0.25, 2, -2, 0]])
    outputs.Audio(8).write(samples, tmp_path / "x.wav")
    with wave.open(str(tmp_path / "x.wav")) as file:
        assert (file.getnchannels(), file.getframerate()) == (1, 8)
        values = np.frombuffer(file.readframes(100), "<i2").reshape(2, 6)
    np.testing.assert_array_equal(values[:, 4:], 0)
    np.testing.assert_allclose(values[:, :4], 32767 * np.clip(samples, -1, 1), atol=0.5)


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_frame_t_of_an_animation_is_the_grid_of_all_videos_at_time_t(tmp_path, suffix):
    pixel = 255 * np.eye(12, dtype=np.uint8).reshape(12, 3, 4, 1)  # Image i has pixel i lit.
    videos = np.stack([pixel[:5], pixel[5:10]])
    outputs.Videos(frames_per_second=10).write(videos, tmp_path / f"x{suffix}")
    with Image.open(tmp_path / f"x{suffix}") as picture:
        assert (picture.n_frames, picture.info["loop"]) == (5, 0)
        for t in range(5):
            picture.seek(t)
            np.testing.assert_array_equal(picture.convert("L"), pictures.grid(videos[:, t]))
            assert picture.info["duration"] == 100


def test_the_contact_sheet_has_a_row_for_each_video(tmp_path):
    videos = RANDOM.integers(255, size=[2, 3, 4, 4, 3], dtype=np.uint8)
    outputs.Videos().write(videos, tmp_path / "x.png")
    with Image.open(tmp_path / "x.png") as picture:
        np.testing.assert_array_equal(picture, pictures.grid(videos.reshape(6, 4, 4, 3), columns=3))


@pytest.mark.parametrize("length", [100, 1_024, 16_384])
def test_a_spectrogram_shows_a_sine_at_its_frequency_and_loudness(length):
    """Bin 32 of 128 is a quarter of half the sampling rate: a period of eight values."""
    sine = np.sin(2 * np.pi * np.arange(length) / 8)
    audio = np.stack([sine, sine * 1e-2, np.zeros(length)]).astype(np.float32)
    loud, quiet, silent = pictures.spectrograms(audio)[..., 0].astype(int)
    assert loud.shape[0] == 128
    assert 100 <= loud.shape[1] <= 155
    middle = loud.shape[1] // 2
    assert loud[:, middle].argmax() == 127 - 32
    if length > 256:
        assert loud[127 - 32, middle] >= 254
        assert loud[127 - 32, middle] - quiet[127 - 32, middle] == pytest.approx(255 * 40 / 80, abs=1)
        assert loud[127 - 60, middle] == 0
    assert not silent.any()


def test_a_run_that_generates_videos(tmp_path):
    """Previews for each seed, the report, and samples, of an experiment that shows points as moving dots."""
    entry, config = short_run("r3gan/ring", seeds=2)

    def with_videos(config):
        experiment = entry.build(config)

        def sample(state, keys):
            x = jnp.arange(8.0)[None]
            squares = lambda centre: -((x - centre[:, None]) ** 2)
            points = experiment.sample(state, keys)
            rows, columns = squares(4 + points[:, 0]), squares(4 + points[:, 1])
            frame = 2 * jnp.exp(rows[:, :, None] + columns[:, None, :]) - 1
            return jnp.stack([jnp.roll(frame, t, axis=2) for t in range(3)], 1)[..., None]

        evaluate = lambda samples, state: Evaluation({"grey": float(samples.mean())})
        return dataclasses.replace(
            experiment, sample=jax.jit(sample), evaluate=evaluate, output=outputs.Videos(), preview_count=4
        )

    run = train_entry(dataclasses.replace(entry, build=with_videos), config, tmp_path, Devices.all(1))
    names = [f"{step:08d}-seed{k}{suffix}" for step in (5, 10) for k in (0, 1) for suffix in (".gif", ".png")]
    assert sorted(path.name for path in (tmp_path / "samples").iterdir()) == names
    samples = run.sample(3)
    assert (samples.dtype, samples.shape) == (np.uint8, (3, 3, 8, 8, 1))
    page = run_report.write(tmp_path, tmp_path).read_text()
    assert (page.count("<figcaption>step"), page.count("data:image/gif"), page.count("samples at step")) == (2, 2, 4)
    assert {"samples-seed1.gif", "samples-seed1.png", "d/loss"} <= read_events(tmp_path).keys()


def test_text_is_printed_unless_a_file_is_given(monkeypatch, capsys, tmp_path):
    entry = SimpleNamespace(make=lambda config: SimpleNamespace(output=outputs.Text("ab")))
    monkeypatch.setattr(measure, "read_config", lambda workdir: (entry, None))
    monkeypatch.setattr(measure, "load", lambda workdir: SimpleNamespace(sample=lambda *_, **__: ["ab\nb", "b"]))
    measure.Sample(workdir=tmp_path).run()
    assert capsys.readouterr().out == "ab\\nb\nb\n"
