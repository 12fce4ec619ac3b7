"""Measures Candor on the machine it runs on: real engines in a folder of their own, the real server, an honest load."""
