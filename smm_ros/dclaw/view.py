"""A picture of the simulated hand, made without a screen and without any graphics library.

MuJoCo's own OpenGL renderer needs system libraries and a driver that a bare machine lacks. The
hand is made of boxes, cylinders and capsules, so its picture is computed here by following rays
of sight through the model on the CPU: the same picture on every machine, in about a second.

Run `smm view PICTURE.png` for a picture of the hand in its reset pose.
"""

import argparse
import math
import sys
from dataclasses import dataclass
from pathlib import Path

import matplotlib.image
import mujoco
import numpy as np
from numpy.typing import NDArray

from smm_ros.dclaw.mujoco_hand import MujocoHand

Array = NDArray[np.float64]

CAMERA = "front"
SUPERSAMPLING = 2
"""Rays per pixel in each direction; their mean smooths the edges."""

_FLOOR_TILE = 0.1  # m
_SKY_HORIZON, _SKY_ZENITH = np.array([0.92, 0.94, 0.96]), np.array([0.66, 0.74, 0.84])
_AMBIENT, _FILL, _DIFFUSE, _SPECULAR, _SHININESS = 0.34, 0.3, 0.55, 0.18, 24
_LIFT = 1e-4  # m: shadows are looked for this far in front of a surface


@dataclass(frozen=True)
class _Hits:
    """Where rays from one point meet the model, for N rays."""

    geom: NDArray[np.int32]
    """(N,), -1 where the ray meets nothing."""
    distance: Array
    """(N,) m along the unit ray."""
    normal: Array
    """(N, 3), unit, out of the surface."""


def render(hand: MujocoHand, path: Path, width: int = 960, height: int = 720) -> Path:
    """Write a PNG picture of a connected hand's present state; return its path.

    Raises:
        ValueError: a size that is not positive.
    """
    if width < 1 or height < 1:
        raise ValueError(f"picture size must be positive, got {width} x {height} pixels")
    path.parent.mkdir(parents=True, exist_ok=True)
    image = _picture(hand.model, hand.data, width, height)
    matplotlib.image.imsave(path, image, format="png")
    return path


def _picture(
    model: mujoco.MjModel, data: mujoco.MjData, width: int, height: int
) -> NDArray[np.uint8]:
    """Return the picture, (height, width, 3), as the model's camera sees it."""
    mujoco.mj_forward(model, data)
    camera = data.camera(CAMERA)
    fine_width, fine_height = width * SUPERSAMPLING, height * SUPERSAMPLING
    fovy = math.radians(model.camera(CAMERA).fovy[0])
    rays = _rays(camera.xmat.reshape(3, 3), fovy, fine_width, fine_height)
    colors = _shade(model, data, camera.xpos, rays)
    blocks = colors.reshape(height, SUPERSAMPLING, width, SUPERSAMPLING, 3)
    return (np.clip(blocks.mean(axis=(1, 3)), 0, 1) * 255).astype(np.uint8)


def _rays(axes: Array, fovy: float, width: int, height: int) -> Array:
    """Unit directions (height * width, 3) of a pinhole camera that looks along its -z axis."""
    scale = 2 * math.tan(fovy / 2) / height
    x = (np.arange(width) + 0.5 - width / 2) * scale
    y = (height / 2 - np.arange(height) - 0.5) * scale
    grid = np.stack([*np.meshgrid(x, y), np.full((height, width), -1.0)], axis=-1)
    rays = grid.reshape(-1, 3) @ axes.T
    return _unit(rays)


def _shade(model: mujoco.MjModel, data: mujoco.MjData, eye: Array, rays: Array) -> Array:
    """Colours (N, 3) in [0, 1] of what the rays from the eye meet, lit by the first light."""
    hits = _cast(model, data, eye, rays)
    colors = _sky(rays)
    seen = hits.geom >= 0
    points = eye + rays[seen] * hits.distance[seen, None]
    normals, light = hits.normal[seen], data.light_xpos[0]
    to_light = _unit(light - points)
    lit = _lit(model, data, light, points + normals * _LIFT)
    diffuse = np.clip(np.sum(normals * to_light, axis=1), 0, 1) * lit
    halfway = _unit(to_light - rays[seen])
    specular = np.clip(np.sum(normals * halfway, axis=1), 0, 1) ** _SHININESS * lit
    surface = _surface(model, hits.geom[seen], points)
    # What faces the viewer gets a little light whatever the shadows, so that shapes can be told.
    facing = np.clip(-np.sum(normals * rays[seen], axis=1), 0, 1)
    shaded = surface * (_AMBIENT + _FILL * facing + _DIFFUSE * diffuse)[:, None]
    shaded += (_SPECULAR * specular)[:, None]
    # Far floor fades into the sky, so that its edge does not show.
    haze = np.clip(hits.distance[seen] / 3, 0, 1)[:, None] ** 2
    colors[seen] = shaded * (1 - haze) + colors[seen] * haze
    return colors


def _cast(model: mujoco.MjModel, data: mujoco.MjData, origin: Array, rays: Array) -> _Hits:
    num_rays = len(rays)
    hits = _Hits(np.empty(num_rays, np.int32), np.empty(num_rays), np.empty((num_rays, 3)))
    mujoco.mj_multiRay(
        model,
        data,
        origin,
        rays.ravel(),
        geomgroup=None,
        flg_static=1,
        bodyexclude=-1,
        geomid=hits.geom,
        dist=hits.distance,
        normal=hits.normal.reshape(-1),
        nray=num_rays,
        cutoff=mujoco.mjMAXVAL,
    )
    return hits


def _lit(model: mujoco.MjModel, data: mujoco.MjData, light: Array, points: Array) -> Array:
    """1 for each of the points (N, 3) that the light reaches, 0 for those in a shadow."""
    away = points - light
    distance = np.linalg.norm(away, axis=1)
    hits = _cast(model, data, light, away / distance[:, None])
    return ((hits.geom < 0) | (hits.distance >= distance - _LIFT)).astype(float)


def _surface(model: mujoco.MjModel, geoms: NDArray[np.int32], points: Array) -> Array:
    """The geoms' own colours (N, 3); the floor, MuJoCo's plane, is tiled."""
    colors = model.mat_rgba[model.geom_matid[geoms], :3].astype(float)
    floor = model.geom_type[geoms] == mujoco.mjtGeom.mjGEOM_PLANE
    tile = np.floor(points[:, :2] / _FLOOR_TILE).sum(axis=1) % 2
    colors[floor] *= (1 - 0.06 * tile[floor])[:, None]
    return colors


def _sky(rays: Array) -> Array:
    height = np.clip(rays[:, 2:], 0, 1)
    return _SKY_HORIZON * (1 - height) + _SKY_ZENITH * height


def _unit(vectors: Array) -> Array:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def main(arguments: list[str] | None = None) -> int:
    """Draw the hand in its reset pose into the file named."""
    parser = argparse.ArgumentParser(
        prog="smm view", description="Render the simulated hand to a picture; needs no screen."
    )
    parser.add_argument("picture", type=Path, help="PNG to write")
    picture = parser.parse_args(arguments).picture
    hand = MujocoHand()
    hand.connect()
    print(render(hand, picture))
    return 0


if __name__ == "__main__":
    sys.exit(main())
