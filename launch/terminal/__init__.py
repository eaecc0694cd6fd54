"""What is printed: progress bars and tables."""
