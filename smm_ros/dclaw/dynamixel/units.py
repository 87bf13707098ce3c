"""Units of the X430 series' registers in SI (e-manual, control table of the XM430-W210)."""

import math

POSITION = 2 * math.pi / 4096
"""rad."""
VELOCITY = 0.229 * 2 * math.pi / 60
"""rad/s, of 0.229 rev/min."""
ACCELERATION = 214.577 * 2 * math.pi / 3600
"""rad/s^2, of 214.577 rev/min^2."""
RETURN_DELAY = 2e-6
"""s."""
WATCHDOG = 0.020
"""s."""
VOLTAGE = 0.1
"""V."""
TICK = 0.001
"""s, of the realtime tick."""
TICK_PERIOD = 32768 * TICK
"""After which the realtime tick begins again, s."""
