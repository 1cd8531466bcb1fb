"""All that knows fmeval 1.2.3: its own code on responses that are there already, one record at a time.

fmeval computes every number. What is left out is its driver: no Ray is started, no model is called, and no record is
dropped or sampled.
"""
