"""Queues, pairing and pacing of messages, and their assignment to cameras."""
