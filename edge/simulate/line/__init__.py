"""``edge simulate line``: the production code inside the referee's world, on a virtual clock.

The world, the PLC's program and its registers are the referee's.  The station's loop, its ledger, matcher, pool and
publisher, the gateway with its register, link and permit ring, the messages and the decision are the product's own,
unchanged: they take clock and transport as arguments.  Only findings and service times come from an oracle.
"""
