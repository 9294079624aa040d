"""What this machine can do, and what is wrong with a recording or a list of topics: `orpose doctor`."""
