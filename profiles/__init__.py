"""Who somebody is to one purpose: unified profiles, features, hot profiles."""
