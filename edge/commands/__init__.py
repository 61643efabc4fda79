"""What the commands of `edge` do, apart from running the processes themselves."""
