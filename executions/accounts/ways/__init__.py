"""Signing in beside the password: codes by mail, and identity providers, through django-allauth."""
