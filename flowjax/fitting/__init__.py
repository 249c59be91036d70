"""Maximum-likelihood fitting of a flow with the training loop of `flowjax.training`."""
