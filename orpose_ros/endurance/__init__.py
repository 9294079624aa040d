"""The whole graph under load for minutes or hours: tests of endurance and privacy."""
