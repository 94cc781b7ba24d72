"""What a run uses and what never changes its result: devices, processes, memory, checkpoints, signals."""
