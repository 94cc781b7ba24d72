"""The method: objective, transport, training, odd rows, noise, ranking, removal study."""
