"""What is read and written: data sets, recordings, training targets."""
