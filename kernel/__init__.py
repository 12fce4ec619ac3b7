"""The ground, without domain: ids, time, errors, settings, canonical bytes, keys, engines, connections, log."""
