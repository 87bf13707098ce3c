"""Dynamixel servos of the XM430 and XH430 series on Protocol 2.0; free of ROS and of the hand."""
