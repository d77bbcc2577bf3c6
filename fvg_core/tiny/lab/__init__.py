"""The tiny world's second edition: seven kinds of prompts, as T2V-CompBench has them."""
