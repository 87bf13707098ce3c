"""State Marginal Matching in torch and numpy; knows neither ROS nor a simulator nor a motor."""
