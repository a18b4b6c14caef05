"""A small world around the pipeline: five shops, thirty customers, and the systems that hold their data."""
