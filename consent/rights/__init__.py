"""What a subject request does, part by part; ``consent/requests.py`` is the door."""
