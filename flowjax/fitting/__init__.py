"""Maximum-likelihood fitting of flows with the training loop of `flowjax.training`."""
