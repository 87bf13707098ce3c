import numpy as np
import pytest

from smm_core.envs.halls import CLEARANCE, GOAL_RADIUS, HALL_WIDTH, INNER_RADIUS, Halls

MAPS = [(1, 10.0), (2, 10.0), (3, 10.0), (5, 10.0), (7, 10.0), (12, 10.0), (20, 1.0), (3, 50.0)]


def moved(halls, position, displacement):
    """Move one point."""
    return halls.move(np.array([position], float), np.array([displacement], float))[0]


def wall_distance(halls, position):
    """Return the distance (N,) m of points (N, 2) m to the nearest wall."""
    walls = np.roll(halls.outline, -1, axis=0) - halls.outline
    from_corner = position[:, None] - halls.outline
    share = (from_corner * walls).sum(-1) / (walls**2).sum(-1)
    apart = from_corner - np.clip(share, 0, 1)[..., None] * walls
    return np.linalg.norm(apart, axis=-1).min(-1)


@pytest.mark.parametrize(("num_halls", "length"), MAPS)
def test_no_displacement_however_long_leads_out_or_through_a_wall(num_halls, length):
    halls, rng = Halls(num_halls, length), np.random.default_rng(0)
    position, deepest = np.zeros((200, 2)), 0.0
    goal = halls.goals[rng.integers(num_halls, size=200)]
    for step in range(200):
        angle = rng.uniform(0, 2 * np.pi, 200)
        if step % 4:  # towards a goal, straight through whatever is in between
            angle = np.arctan2(*(goal - position).T[::-1])
        size = halls.radius / 60 * rng.choice([0.1, 1.0, 10.0, 100.0], 200)
        displacement = size[:, None] * np.stack((np.cos(angle), np.sin(angle)), -1)
        position = halls.move(position, displacement)
        assert halls.contains(position).all()
        assert wall_distance(halls, position).min() > 0.99 * CLEARANCE
        deepest = max(deepest, halls.depth(position)[1].max())
    assert deepest > 0.99 * length


@pytest.mark.parametrize(("num_halls", "length"), MAPS)
def test_one_long_step_leads_where_many_short_ones_do(num_halls, length):
    """So no long step can go through a wall, nor jump from hall to hall."""
    halls, rng = Halls(num_halls, length), np.random.default_rng(1)
    hall = rng.integers(num_halls, size=200)
    start = halls.directions[hall] * rng.uniform(0, halls.radius - CLEARANCE, (200, 1))
    angle = rng.uniform(0, 2 * np.pi, 200)
    displacement = np.stack((np.cos(angle), np.sin(angle)), -1) * rng.uniform(0, 30, (200, 1))
    short = start
    for _ in range(500):
        short = halls.move(short, displacement / 500)
    apart = np.linalg.norm(halls.move(start, displacement) - short, axis=-1)
    # A corner is passed at a clearance that differs by less than a millimetre.
    assert apart.max() < 0.005


@pytest.mark.parametrize(("num_halls", "length"), MAPS)
def test_the_walls_are_where_the_free_space_ends(num_halls, length):
    halls = Halls(num_halls, length)
    following = np.roll(halls.outline, -1, axis=0)
    along = following - halls.outline
    inwards = np.stack((-along[:, 1], along[:, 0]), -1) / np.linalg.norm(along, axis=-1)[:, None]
    middle = (halls.outline + following) / 2
    assert halls.contains(middle + 1e-6 * inwards).all()
    assert not halls.contains(middle - 1e-6 * inwards).any()
    np.testing.assert_allclose(wall_distance(halls, middle), 0, atol=1e-9)


def test_the_area_of_the_free_space_is_that_of_the_room_and_the_halls():
    halls, rng = Halls(3, 10.0), np.random.default_rng(0)
    low, high = halls.bounds
    inside = halls.contains(rng.uniform(low, high, (200_000, 2))).mean()
    # The room is a hexagon of three mouths and three walls, cut into triangles at the centre.
    corner = np.hypot(INNER_RADIUS, HALL_WIDTH / 2)
    mouth = 2 * np.arctan2(HALL_WIDTH / 2, INNER_RADIUS)
    room = 1.5 * corner**2 * (np.sin(mouth) + np.sin(2 * np.pi / 3 - mouth))
    assert inside * np.prod(high - low) == pytest.approx(room + 3 * 10.0, rel=0.02)


def test_a_point_slides_along_a_wall_with_the_part_of_its_motion_along_it():
    halls = Halls(3, 10.0)
    end = moved(halls, (5.0, 0.0), (2.0, 3.0))
    np.testing.assert_allclose(end, (7.0, HALL_WIDTH / 2 - CLEARANCE), atol=1e-12)
    again = moved(halls, end, (-1.5, 3.0))
    np.testing.assert_allclose(again, (5.5, HALL_WIDTH / 2 - CLEARANCE), atol=1e-12)
    np.testing.assert_allclose(moved(halls, again, (1.0, -0.25)), again + (1.0, -0.25))


def test_a_point_slides_along_a_slanted_wall_of_the_room():
    halls = Halls(3, 10.0)
    outwards = np.array([np.cos(np.pi / 3), np.sin(np.pi / 3)])
    along = np.array([-outwards[1], outwards[0]])
    end = moved(halls, (0.0, 0.0), 5 * outwards + 0.4 * along)
    assert end @ along == pytest.approx(0.4)
    assert wall_distance(halls, end[None])[0] == pytest.approx(CLEARANCE)


def test_a_corner_holds_a_point_that_runs_into_it():
    halls = Halls(3, 10.0)
    corner = np.array([halls.radius - CLEARANCE, HALL_WIDTH / 2 - CLEARANCE])
    end = moved(halls, (11.0, 0.0), (30.0, 40.0))
    np.testing.assert_allclose(end, corner, atol=1e-12)
    np.testing.assert_allclose(moved(halls, end, (3.0, 1.0)), corner, atol=1e-12)


def test_a_wall_met_head_on_stops_a_point():
    halls = Halls(3, 10.0)
    end = moved(halls, (0.0, 0.1), (-9.0, 0.0))
    assert end[1] == pytest.approx(0.1)
    assert wall_distance(halls, end[None])[0] == pytest.approx(CLEARANCE)


def test_a_point_that_slides_past_a_walls_end_goes_on_as_it_was_sent():
    halls = Halls(3, 10.0)
    # Out of a hall along its upper wall, which ends at INNER_RADIUS: half of the way is left.
    start = (INNER_RADIUS + 1.0, HALL_WIDTH / 2 - CLEARANCE)
    end = moved(halls, start, (-2.0, 0.6))
    np.testing.assert_allclose(end, (INNER_RADIUS - 1.0, HALL_WIDTH / 2 + 0.3), atol=1e-3)


@pytest.mark.parametrize(("num_halls", "length"), MAPS)
def test_many_points_move_exactly_as_each_does_alone(num_halls, length):
    halls, rng = Halls(num_halls, length), np.random.default_rng(0)
    position = np.zeros((37, 2))
    for _ in range(40):
        displacement = rng.normal(size=(37, 2)) * halls.radius / 20
        alone = [moved(halls, *point) for point in zip(position, displacement, strict=True)]
        position = halls.move(position, displacement)
        np.testing.assert_array_equal(position, alone)


def test_moving_leaves_its_arguments_as_they_are():
    position, displacement = np.zeros((1, 2)), np.array([[50.0, 1.0]])
    Halls().move(position, displacement)
    assert position.tolist() == [[0, 0]]
    assert displacement.tolist() == [[50, 1]]


@pytest.mark.parametrize(("num_halls", "length"), MAPS)
def test_goals_touch_the_ends_of_their_halls(num_halls, length):
    halls = Halls(num_halls, length)
    own = np.arange(num_halls)
    ends = halls.radius * halls.directions
    np.testing.assert_array_equal(halls.reached(halls.goals), own)
    np.testing.assert_array_equal(halls.reached(ends - 1e-6 * halls.directions), own)
    before = ends - (2 * GOAL_RADIUS + 1e-6) * halls.directions
    assert (halls.reached(before) == -1).all()
    assert halls.reached(np.zeros((1, 2)))[0] == -1


@pytest.mark.parametrize(("num_halls", "length"), MAPS)
def test_depth_is_measured_from_a_halls_mouth_and_is_zero_in_the_room(num_halls, length):
    halls = Halls(num_halls, length)
    hall, depth = halls.depth((halls.inner_radius + 0.7) * halls.directions)
    np.testing.assert_array_equal(hall, np.arange(num_halls))
    np.testing.assert_allclose(depth, 0.7)
    hall, depth = halls.depth(0.9 * halls.inner_radius * halls.directions)
    assert (hall == -1).all()
    assert (depth == 0).all()


@pytest.mark.parametrize("num_halls", [1, 3, 7, 12, 13, 40])
def test_halls_never_overlap(num_halls):
    halls = Halls(num_halls, 10.0)
    angle = 2 * np.pi / max(num_halls, 3)
    mouth = 2 * np.arctan2(HALL_WIDTH / 2, halls.inner_radius)
    assert mouth < angle
    assert halls.inner_radius == INNER_RADIUS or num_halls > 12


def test_weights_become_probabilities():
    assert Halls(3).weights.tolist() == [1 / 3] * 3
    assert Halls(3, hall_weights=(2, 1, 1)).weights.tolist() == [0.5, 0.25, 0.25]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_halls": 0}, "num_halls is 0, expected an integer of at least 1"),
        ({"num_halls": 2.5}, "num_halls is 2.5"),
        ({"hall_length": 0.5}, r"hall_length is 0.5, expected 1.0 .. 1000.0 m"),
        ({"hall_length": float("nan")}, "hall_length is nan"),
        ({"hall_weights": (1, 2)}, r"hall_weights is \(1, 2\), expected 3 numbers"),
        ({"hall_weights": (1, -1, 1)}, "hall_weights"),
        ({"hall_weights": (0, 0, 0)}, "not all 0"),
    ],
)
def test_a_bad_argument_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        Halls(**arguments)
