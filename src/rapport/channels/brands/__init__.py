"""Brands: as whom mail is sent: its addresses, its way out, its signatures and its DNS records."""
