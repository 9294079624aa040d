"""The audit trail: what ran with which weights and limits, in a log from which nothing can be cut out."""
