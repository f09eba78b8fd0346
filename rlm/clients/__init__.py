"""Clients: each speaks one provider's wire format. Importing this package loads none of them."""
