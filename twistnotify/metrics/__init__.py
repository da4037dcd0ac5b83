"""Figures: counted where the event happens, rendered elsewhere."""
