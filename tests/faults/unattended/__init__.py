"""A line that nobody attends: real processes, hurt in turn, judged by dashboard, alerts and books."""
