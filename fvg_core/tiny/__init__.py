"""The embedded world: moving coloured shapes with captions, an exact scorer and small models."""
