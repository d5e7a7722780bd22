"""Figures of VGAN (Vondrick et al. 2016) and MoCoGAN (Tulyakov et al. 2018) on moving shapes.

python launch.py figure mocogan/table1 mocogan/fig4 vgan/fig_mask
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments import mocogan, vgan
from jaxgan.data import videos
from jaxgan.evaluate.content import content_metrics, find_shapes
from jaxgan.render import pictures, plots
from jaxgan.render.outputs import to_uint8
from jaxgan.reports import figures
from jaxgan.reports.figures import Claim, Figure, Numbers, Runs, run_spec

STEPS = 6_000
COUNT = 256  # videos


@figures.register(
    "mocogan/table1",
    paper=mocogan.PAPER,
    shows="average content distance of MoCoGAN, of VGAN and of the data",
    minutes=9,
)
def table1() -> Figure:
    """Distances are between the mean colours of the shape in two frames, in [-1, 1]."""

    def measure(runs: Runs) -> Numbers:
        (mocogan_run,), (vgan_run,) = runs["mocogan"], runs["vgan"]
        clips = jax.jit(jax.vmap(videos.shapes(8, 16)))(jax.random.split(jax.random.key(0), COUNT))
        samples = {
            "data": to_uint8(np.asarray(clips.video)),
            "mocogan": mocogan_run.sample(COUNT),
            "vgan": vgan_run.sample(COUNT),
        }
        numbers: dict[str, Any] = {f"{name}/frames": video[:4] for name, video in samples.items()}
        for name, video in samples.items():
            numbers |= {f"{name}/{key}": value for key, value in content_metrics(video).items()}
        numbers["difference"] = numbers["vgan/acd"] - numbers["mocogan/acd"]
        return numbers

    def plot(numbers: Numbers) -> Any:
        fig, axes = plots.subplots(1, 3, height=1.9)
        for ax, (name, title) in zip(
            axes[0], {"data": "data", "mocogan": "MoCoGAN", "vgan": "VGAN"}.items(), strict=True
        ):
            frames = numbers[f"{name}/frames"]
            ax.imshow(pictures.grid(frames.reshape(-1, *frames.shape[2:]), columns=frames.shape[1]))
            ax.set_title(f"{title}: ACD {numbers[f'{name}/acd']:.3f}")
            ax.axis("off")
        return fig

    return Figure(
        measure=measure,
        plot=plot,
        runs={"mocogan": run_spec("mocogan/videos", STEPS), "vgan": run_spec("vgan/videos", STEPS)},
        claims=(
            Claim("average content distance of VGAN minus that of MoCoGAN", "difference", least=0),
            Claim("average content distance of the data", "data/acd", most=0.1),
            Claim("share of MoCoGAN's frames with a shape", "mocogan/visible", least=0.9),
            Claim("share of VGAN's frames with a shape", "vgan/visible", least=0.9),
        ),
    )


@figures.register(
    "mocogan/fig4",
    paper=mocogan.PAPER,
    shows="videos of one content with several motions, and of several contents with one motion",
    minutes=6,
)
def fig4() -> Figure:
    """All pairs of 16 contents and 16 motions."""
    side = 16

    def measure(runs: Runs) -> Numbers:
        (run,) = runs["mocogan"]
        config = run.config
        content_key, motion_key = jax.random.split(jax.random.key(0))
        content = jax.random.normal(content_key, [side, config.content])
        motion = jax.random.normal(motion_key, [side, (1 + config.frames) * config.motion])
        pairs = jnp.concatenate([jnp.repeat(content, side, 0), jnp.tile(motion, (side, 1))], 1)
        samples = to_uint8(np.asarray(run.network("generator")(pairs)))
        found = find_shapes(samples)
        colours = found.colours.mean(1).reshape(side, side, 3)  # [content, motion, 3]
        paths = found.centres.reshape(side, side, -1)
        paths -= paths.mean(1, keepdims=True)  # Subtracts the mean path of a content.
        correlations = [
            np.corrcoef(paths[i, m], paths[j, m])[0, 1] for m in range(side) for i in range(side) for j in range(i)
        ]
        within, between = colours.var(1).mean(), colours.mean(1).var(0).mean()
        return {
            "frames": samples.reshape(side, side, *samples.shape[1:])[:4, :4],
            "share_within": float(within / max(within + between, 1e-12)),
            "correlation": float(np.nanmedian(correlations)),
        }

    def plot(numbers: Numbers) -> Any:
        fig, axes = plots.subplots(1, 2, height=2)
        frames = numbers["frames"]
        rows = {"one content, four motions": frames[0], "four contents, one motion": frames[:, 0]}
        for ax, (title, row) in zip(axes[0], rows.items(), strict=True):
            ax.imshow(pictures.grid(row.reshape(-1, *row.shape[2:]), columns=row.shape[1]))
            ax.set_title(title)
            ax.axis("off")
        return fig

    return Figure(
        measure=measure,
        plot=plot,
        runs={"mocogan": run_spec("mocogan/videos", STEPS)},
        claims=(
            Claim("variance of the colour over motions, share of the whole variance", "share_within", most=0.1),
            Claim("correlation of the paths of two contents with one motion, median", "correlation", least=0.8),
        ),
    )


@figures.register(
    "vgan/fig_mask",
    paper=vgan.PAPER,
    shows="foreground, mask and background, and the mask without its penalty",
    minutes=7,
)
def fig_mask() -> Figure:
    """The mask is compared with the pixels of the generated video that belong to a shape."""

    def measure(runs: Runs) -> Numbers:
        numbers: dict[str, Any] = {}
        for name in ("penalised", "free"):
            (run,) = runs[name]
            z = jax.random.normal(jax.random.key(0), [COUNT, run.config.latent])
            layers = jax.device_get(run.network("generator")(z))
            numbers[f"{name}/mask"] = float(layers.mask.mean())
            if name == "penalised":
                shape, mask = find_shapes(to_uint8(layers.video)).mask, layers.mask[..., 0] > 0.5
                numbers["iou"] = float((shape & mask).sum() / max((shape | mask).sum(), 1))
                frame = layers.video.shape[1] // 2
                numbers["video"] = to_uint8(layers.video[:8, frame])
                numbers["foreground"] = to_uint8(layers.foreground[:8, frame])
                numbers["background"] = to_uint8(layers.background[:8])
                numbers["mask"] = to_uint8(2 * layers.mask[:8, frame].repeat(3, -1) - 1)
        numbers["rise"] = numbers["free/mask"] - numbers["penalised/mask"]
        return numbers

    def plot(numbers: Numbers) -> Any:
        fig, axes = plots.subplots(1, 4, height=1.8)
        for ax, name in zip(axes[0], ("video", "mask", "foreground", "background"), strict=True):
            ax.imshow(pictures.grid(numbers[name], columns=4))
            ax.set_title(name)
            ax.axis("off")
        return fig

    return Figure(
        measure=measure,
        plot=plot,
        runs={"penalised": run_spec("vgan/videos", STEPS), "free": run_spec("vgan/videos", STEPS, mask=0.0)},
        claims=(
            Claim("intersection over union of the mask and the generated shape", "iou", least=0.4),
            Claim("mean of the mask without its penalty minus that with it", "rise", least=0),
        ),
    )
