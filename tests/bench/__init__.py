"""Benchmarks. They print what they measured; ratios within a run count, as machines are noisy."""
