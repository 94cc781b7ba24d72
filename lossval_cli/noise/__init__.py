"""Wrong labels and outliers, estimated independently of LossVal."""
