"""What makes a cluster apply an environment."""
