"""Drivers: one solver each, found through the entry-point group ``oamip.drivers``."""
