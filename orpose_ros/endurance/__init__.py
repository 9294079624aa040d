"""The whole graph under load for minutes or hours: does it hold, and does it keep what it promises?"""
