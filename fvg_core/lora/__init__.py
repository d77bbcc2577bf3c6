"""LoRAs: names of layers, adapters inside a backbone, files of every common layout."""
