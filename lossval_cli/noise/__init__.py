"""Which labels are wrong and which rows are outliers, independent of LossVal."""
