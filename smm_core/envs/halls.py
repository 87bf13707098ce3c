"""The map of Navigation: a room with halls that lead outwards, and points that move in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
Indices: TypeAlias = NDArray[np.int64]

INNER_RADIUS = 2.0  # m from the centre to the halls' mouths
HALL_WIDTH = 1.0  # m
GOAL_RADIUS = 0.5  # m around the point that lies as far short of the hall's end
SMALLEST_LENGTH, LARGEST_LENGTH = 2 * GOAL_RADIUS, 1000.0  # m

CLEARANCE = 1e-4
"""m that a point keeps from the walls: well above what rounding to a float32 can shift it."""

MOST_EVENTS = 32
"""Walls met and left in one step; what is left of the step after as many is dropped."""

_SMALLEST_GAP = 0.05  # m of wall between the mouths of two halls
_PAST_THE_END = 1.5 * CLEARANCE  # m past a wall's end at which a point no longer slides
_SMALLEST_APPROACH = 1e-12  # m per step, below which a motion counts as along a wall


class Halls:
    """A convex room around the origin with halls at the angles 2 pi i / num_halls (rad).

    The room's walls join the corners of neighbouring mouths. The mouths are INNER_RADIUS from
    the centre, or as far as many halls need so that they do not overlap; with fewer than three
    halls the room has closed mouths besides.
    """

    def __init__(
        self,
        num_halls: int = 3,
        hall_length: float = 10.0,
        hall_weights: Sequence[float] | None = None,
    ) -> None:
        """Build the walls; `hall_weights` are relative and become probabilities.

        Raises:
            ValueError: fewer than one hall, a length outside 1 .. 1000 m, or weights that are
                not one number of at least 0 for each hall with a positive sum.
        """
        if not isinstance(num_halls, int) or isinstance(num_halls, bool) or num_halls < 1:
            raise ValueError(f"num_halls is {num_halls!r}, expected an integer of at least 1")
        if not SMALLEST_LENGTH <= hall_length <= LARGEST_LENGTH:
            raise ValueError(
                f"hall_length is {hall_length!r}, expected {SMALLEST_LENGTH} .. {LARGEST_LENGTH} m"
            )
        self.num_halls, self.hall_length = num_halls, float(hall_length)
        self.weights = _probabilities(hall_weights, self.num_halls)
        """(num_halls,), sum 1."""
        angles = 2 * np.pi * np.arange(self.num_halls) / self.num_halls
        self.directions = np.stack((np.cos(angles), np.sin(angles)), -1)
        """(num_halls, 2), unit vectors along the halls."""
        self._num_mouths = self.num_halls * -(-3 // self.num_halls)
        self.inner_radius = _inner_radius(self._num_mouths)
        """m from the centre to the halls' mouths."""
        self.radius = self.inner_radius + self.hall_length
        """m from the centre to the halls' ends."""
        self.goals = (self.radius - GOAL_RADIUS) * self.directions
        """(num_halls, 2) m."""
        self.outline = self._outline()
        """(W, 2) m, the corners of the free space, anticlockwise."""
        along = np.roll(self.outline, -1, axis=0) - self.outline
        self._length = np.sqrt((along**2).sum(-1))
        self._tangent = along / self._length[:, None]
        # To the left of an anticlockwise outline lies the inside.
        self._normal = np.stack((-self._tangent[:, 1], self._tangent[:, 0]), -1)

    @property
    def bounds(self) -> tuple[Array, Array]:
        """The lowest and highest x and y of the free space, (2,) m each."""
        return self.outline.min(0), self.outline.max(0)

    def contains(self, position: Array) -> NDArray[np.bool_]:
        """Return whether points (N, 2) m are in the free space, walls included; (N,)."""
        along, across = self._in_hall_frames(position)
        in_hall = (along >= 0) & (along <= self.radius) & (np.abs(across) <= HALL_WIDTH / 2)
        angle = np.pi / self._num_mouths
        turns = angle * np.arange(2 * self._num_mouths)
        side = self.inner_radius * np.cos(angle) + HALL_WIDTH / 2 * np.sin(angle)
        distance = np.where(np.arange(len(turns)) % 2, side, self.inner_radius)
        outwards = position[:, :1] * np.cos(turns) + position[:, 1:] * np.sin(turns)
        return in_hall.any(-1) | (outwards <= distance).all(-1)

    def reached(self, position: Array) -> Indices:
        """Return the hall whose goal points (N, 2) m are in, (N,); -1 where in none."""
        apart = position[:, None] - self.goals
        squared = apart[..., 0] ** 2 + apart[..., 1] ** 2
        hall = squared.argmin(-1)
        return np.where(squared.min(-1) < GOAL_RADIUS**2, hall, -1)

    def depth(self, position: Array) -> tuple[Indices, Array]:
        """Return which hall points (N, 2) m are in and how far from its mouth.

        The halls (N,) are -1 and the depths (N,) m, at most hall_length, are 0 in the room.
        """
        along, across = self._in_hall_frames(position)
        depth = np.where(np.abs(across) <= HALL_WIDTH / 2, along - self.inner_radius, 0.0)
        hall = depth.argmax(-1)
        deepest = np.maximum(depth.max(-1), 0.0)
        return np.where(deepest > 0, hall, -1), deepest

    def move(self, position: Array, displacement: Array) -> Array:
        """Move points (N, 2) m by displacements (N, 2) m; they slide along walls; (N, 2) m.

        Along a wall a point makes the part of its displacement that is along it, past the
        wall's end the whole of it again, and a corner that holds it ends it. So one long step
        leads where many short ones do, and none out of the halls. Every point moves exactly as
        if it were alone: no sum runs over the points.
        """
        position, velocity = position.copy(), displacement.copy()
        left, wall = np.ones(len(position)), np.full(len(position), -1)
        moving = np.arange(len(position))
        for _ in range(MOST_EVENTS):
            here, going, before = position[moving], velocity[moving], wall[moving]
            contact, met = self._first_contact(here, going)
            end = self._wall_end(here, going, before)
            share = np.minimum(np.minimum(contact, end), left[moving])
            position[moving] = here + share[:, None] * going
            left[moving] -= share
            on = left[moving] > 0
            if not on.any():
                break
            moving, before = moving[on], before[on]
            wall[moving] = np.where(contact <= end, met, -1)[on]
            velocity[moving] = self._allowed(displacement[moving], wall[moving], before)
        return position

    def _first_contact(self, position: Array, velocity: Array) -> tuple[Array, Indices]:
        """Return after which multiple of its velocity (N, 2) a point meets a wall, and which.

        The multiple is infinite where no wall is met.
        """
        approach = -_products(velocity, self._normal)
        slide = _products(velocity, self._tangent)
        along, away = self._in_wall_frames(position)
        away = away - CLEARANCE
        approaching = (approach > _SMALLEST_APPROACH) & (away > -CLEARANCE / 2)
        share = np.maximum(away, 0) / np.where(approaching, approach, 1.0)
        where = along + share * slide
        # Longer by the clearance, the walls leave no gap at a corner that juts into the room.
        beside = (where < -CLEARANCE) | (where > self._length + CLEARANCE)
        share = np.where(approaching & ~beside, share, np.inf)
        return share.min(-1), share.argmin(-1)

    def _wall_end(self, position: Array, velocity: Array, wall: Indices) -> Array:
        """Return after which multiple of its velocity a point has slid past its wall (N,).

        Infinite where it is at no wall (-1) or stands still.
        """
        tangent = self._tangent[wall]
        speed = _dot(velocity, tangent)
        sliding = (wall >= 0) & (np.abs(speed) > _SMALLEST_APPROACH)
        ahead = np.where(speed > 0, self._length[wall] + _PAST_THE_END, -_PAST_THE_END)
        distance = ahead - _dot(position - self.outline[wall], tangent)
        return np.where(sliding, distance / np.where(sliding, speed, 1.0), np.inf)

    def _allowed(self, displacement: Array, wall: Indices, before: Indices) -> Array:
        """Return the part of displacements (N, 2) that walls (N,) allow; -1 is no wall.

        A point that met a wall while it slid along the one `before` is in a corner, which
        holds it if it can leave along neither of them. (Otherwise the two would hand it to one
        another until MOST_EVENTS: to the same place, slowly.)
        """
        tangent = self._tangent[wall]
        along = _dot(displacement, tangent)[:, None] * tangent
        into = _dot(along, self._normal[before]) < -_SMALLEST_APPROACH
        held = (wall >= 0) & (before >= 0) & into
        return np.where(held[:, None], 0.0, np.where(wall[:, None] >= 0, along, displacement))

    def _in_wall_frames(self, position: Array) -> tuple[Array, Array]:
        """Return how far points (N, 2) m are along and away from every wall, (N, W) m each."""
        along = _products(position, self._tangent) - _dot(self.outline, self._tangent)
        away = _products(position, self._normal) - _dot(self.outline, self._normal)
        return along, away

    def _in_hall_frames(self, position: Array) -> tuple[Array, Array]:
        """Return how far points are along and across every hall's axis, (N, num_halls) m each."""
        along = _products(position, self.directions)
        across = _products(position, self.directions[:, ::-1] * (-1, 1))
        return along, across

    def _outline(self) -> Array:
        half, corners = HALL_WIDTH / 2, []
        for mouth in range(self._num_mouths):
            is_open = not mouth % (self._num_mouths // self.num_halls)
            ends = (self.radius, self.radius) if is_open else ()
            reach = np.array([self.inner_radius, *ends, self.inner_radius])
            side = np.array([-half] * (len(reach) // 2) + [half] * (len(reach) // 2))
            angle = 2 * np.pi * mouth / self._num_mouths
            cos, sin = np.cos(angle), np.sin(angle)
            corners.append(np.stack((reach * cos - side * sin, reach * sin + side * cos), -1))
        return np.concatenate(corners)


def _inner_radius(num_mouths: int) -> float:
    """Return the distance (m) of the mouths at which they do not overlap."""
    angle = np.pi / num_mouths
    needed = (_SMALLEST_GAP / 2 + HALL_WIDTH / 2 * np.cos(angle)) / np.sin(angle)
    return max(INNER_RADIUS, float(needed))


def _probabilities(weights: Sequence[float] | None, num_halls: int) -> Array:
    given = np.ones(num_halls) if weights is None else np.array(weights, np.float64)
    good = given.shape == (num_halls,) and np.isfinite(given).all() and (given >= 0).all()
    if not good or given.sum() <= 0:
        raise ValueError(
            f"hall_weights is {weights!r}, expected {num_halls} numbers of at least 0, not all 0"
        )
    return given / given.sum()


def _products(vectors: Array, others: Array) -> Array:
    """Return the dot products of vectors (N, 2) with others (W, 2), (N, W).

    Spelled out: the sum in a matrix product may depend on how many vectors there are.
    """
    return vectors[:, :1] * others[:, 0] + vectors[:, 1:] * others[:, 1]


def _dot(vectors: Array, others: Array) -> Array:
    """Return the dot products (N,) of vectors (N, 2) with their partners (N, 2)."""
    return vectors[:, 0] * others[:, 0] + vectors[:, 1] * others[:, 1]
