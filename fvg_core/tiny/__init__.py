"""The embedded world: moving coloured shapes with captions, an exact checker and small models."""
