"""Ten Dynamixel servos that are not there: the driver's other end, to test and to try out."""
