"""Definitions of recipe types, and what of a recipe can go on: no database here."""
